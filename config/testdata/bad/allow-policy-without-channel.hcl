node "app" {
  authority = file("authority.txt")
  tcp_inlet "db" {
    from  = "127.0.0.1:15432"
    to    = "/dnsaddr/db.example.com/tcp/4000/service/db"
    allow = "db"
  }
  tcp_inlet "default" {
    from  = "127.0.0.1:15433"
    to    = "/dnsaddr/db.example.com/tcp/4000/service/db"
  }
  relay "app" {
    at    = "/dnsaddr/db.example.com/tcp/4000"
    allow = "(= subject.role \"relay\")"
  }
}
