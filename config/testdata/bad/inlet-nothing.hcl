node "app" {
  tcp_inlet "db" {}
}
