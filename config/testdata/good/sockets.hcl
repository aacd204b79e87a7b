node "a" {
  listener "tcp" { address = "[::1]:4000" }
  tcp_inlet "unix" {
    from            = "unix:/run/app/pg.sock"
    to              = "/ip6/2001:db8::1/tcp/4000/secure/api/service/x"
    allow           = "I1111111111111111111111111111111111111111111111111111111111111111"
    max_connections = 50
  }
  tcp_inlet "all" {
    from  = "0.0.0.0:15432"
    to    = "/ip4/10.0.0.1/tcp/4000/service/x"
    allow = "anyone"
  }
  tcp_inlet "free" {
    from  = "127.0.0.1:0"
    to    = "/dnsaddr/h/tcp/4000/secure/api/worker/x"
    allow = "anyone"
  }
  tcp_inlet "free2" {
    from  = "localhost:0"
    to    = "/dnsaddr/h/tcp/4000/secure/api/service/forward_to_b/service/x"
    allow = "anyone"
  }
  tcp_outlet "unix" {
    to              = "unix:/run/postgresql/.s.PGSQL.5432"
    allow           = "I1111111111111111111111111111111111111111111111111111111111111111"
    max_connections = 7
  }
  tcp_outlet "name" {
    to    = "db.internal:5432"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  tcp_outlet "demo" {
    to    = "demo:web"
    allow = "anyone"
  }
}
