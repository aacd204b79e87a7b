node "a" {
  project = "p"
  tcp_inlet "both" {
    from = "127.0.0.1:1"
    via  = "db"
    to   = "/project/p/service/forward_to_db/secure/api/service/pg"
  }
  tcp_inlet "service" {
    from    = "127.0.0.1:2"
    to      = "/project/p/service/forward_to_db/secure/api/service/pg"
    service = "pg"
  }
  tcp_inlet "whole" {
    from = "127.0.0.1:3"
    via  = "/project/p/service/forward_to_db"
  }
  tcp_inlet "bad" {
    from    = "127.0.0.1:4"
    via     = "db"
    service = "p/g"
  }
  tcp_inlet "type" {
    from    = "127.0.0.1:5"
    via     = 5
    service = 5
  }
  tcp_inlet "nothing" { from = "127.0.0.1:6" }
  # Nothing proves who answers.
  tcp_inlet "plain" {
    from = "127.0.0.1:7"
    to   = "/dnsaddr/x/tcp/1/service/pg"
  }
}
# The outlet behind the relay is in this configuration, and has another name.
node "db" {
  project = "p"
  relay "db" {}
  tcp_outlet "postgres" { to = "127.0.0.1:5432" }
}
node "b" {
  project = "p"
  relay "db" {}
  tcp_inlet "postgre" {
    from = "127.0.0.1:8"
    via  = "db"
  }
}
# Without a project nobody is a member.
node "c" {
  tcp_outlet "postgres" { to = "127.0.0.1:5432" }
  tcp_inlet "x" {
    from = "127.0.0.1:9"
    to   = "/project/p/service/forward_to_db/secure/api/service/postgres"
  }
}
