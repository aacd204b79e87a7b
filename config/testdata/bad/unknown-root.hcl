node "app" {
  tcp_inlet "db" {
    from  = "127.0.0.1:15432"
    to    = "${var.relay}/service/x"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
