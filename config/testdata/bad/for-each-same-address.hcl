node "app" {
  tcp_inlet "db" {
    from  = "127.0.0.1:15432"
    to    = "/ip4/10.0.0.1/tcp/4000/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
    for_each = ["x", "y"]
  }
}
