node "app" {
  tcp_inlet "a" "b" {}
}
