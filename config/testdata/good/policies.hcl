node "db" {
  authority = file("authority.txt")
  listener "tcp" { address = "127.0.0.1:4000" }
  tcp_outlet "default" { to = "127.0.0.1:1" }
  tcp_outlet "name" {
    to    = "127.0.0.1:1"
    allow = "admin"
  }
  tcp_outlet "formula" {
    to    = "127.0.0.1:1"
    allow = " (admin or dba) and not intern "
  }
  tcp_outlet "full" {
    to    = "127.0.0.1:1"
    allow = "(= subject.team \"web\")"
  }
  tcp_outlet "without" {
    to    = "127.0.0.1:1"
    allow = "= subject.team \"web\""
  }
  tcp_outlet "identifier" {
    to    = "127.0.0.1:1"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  relay_service {}
  relay "db" {
    at    = "/dnsaddr/relay.example.com/tcp/4000/secure/api"
    allow = "relay"
  }
}
node "app" {
  authority = file("authority.txt")
  relay_service { allow = "(exists? subject.ockam-relay)" }
  tcp_inlet "default" {
    from = "127.0.0.1:15432"
    to   = "/node/db/secure/api/service/full"
  }
  tcp_inlet "policy" {
    from  = "127.0.0.1:15433"
    to    = "/node/db/secure/api/service/full"
    allow = "database"
  }
}
node "alone" {
  tcp_outlet "subject" {
    to    = "127.0.0.1:1"
    allow = "(= subject.identifier \"I1111111111111111111111111111111111111111111111111111111111111111\")"
  }
  tcp_outlet "attribute" {
    to    = "127.0.0.1:1"
    allow = "(or (= subject.team \"web\") (= subject.identifier \"I1111111111111111111111111111111111111111111111111111111111111111\"))"
  }
}
