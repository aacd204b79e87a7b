node "app" {
  listener "tcp" { address = "127.0.0.1:4000" }
  udp_inlet "dns" {}
  policy "x" {}
}
