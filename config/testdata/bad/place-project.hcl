node "app" {
  tcp_inlet "db" {
    from  = "127.0.0.1:15432"
    to    = "/project/default/service/forward_to_x/secure/api/service/y"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
