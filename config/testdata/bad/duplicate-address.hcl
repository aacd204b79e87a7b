node "app" {
  listener "tcp" { address = "127.0.0.1:4000" }
}
node "b" {
  listener "tcp" { address = "127.0.0.1:5000" }
}
node "c" {
  tcp_inlet "db" {
    from  = "localhost:4000"
    to    = "/ip4/10.0.0.1/tcp/4000/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  tcp_inlet "wild" {
    from  = "[::]:5000"
    to    = "/ip4/10.0.0.1/tcp/4000/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  tcp_inlet "u1" {
    from  = "unix:/run/a.sock"
    to    = "/ip4/10.0.0.1/tcp/4000/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  tcp_inlet "u2" {
    from  = "unix:/run/a.sock"
    to    = "/ip4/10.0.0.1/tcp/4000/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
