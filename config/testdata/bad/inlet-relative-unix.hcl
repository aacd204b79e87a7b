node "app" {
  tcp_inlet "db" {
    from  = "unix:run/a.sock"
    to    = "/ip4/10.0.0.1/tcp/4000/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
