locals { relay = "x" }
node "app" {
  tcp_inlet "db" {
    from  = "127.0.0.1:15432"
    to    = "${local.relai}/service/x"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
