node "a" {
  project = "project.json"
  relay "x" {}
}
node "b" {
  project = "a b"
  relay "x" {}
}
node "c" {
  project = file("project-record-cut.txt")
  relay "x" {}
}
node "d" {
  project = file("project-record-empty.txt")
  relay "x" {}
}
node "e" {
  ticket = file("ticket-cut.txt")
  relay "x" {}
}
node "f" {
  ticket = "./ticket.txt"
  relay "x" {}
}
node "g" {
  ticket = "https://example.com/ticket"
  relay "x" {}
}
node "h" {
  project = "other"
  ticket  = file("ticket.txt")
  relay "x" {}
}
node "i" {
  project   = "other"
  authority = file("authority.txt")
  relay "x" {}
}
node "j" {
  project = 5
  ticket  = null
  relay "x" {}
}
node "k" {
  project = "p"
}
node "l" {
  project = "p"
  relay "x" { at = "/project/q" }
}
node "m" {
  relay "x" {}
  tcp_inlet "y" {
    from = "127.0.0.1:1"
    to   = "/project/q/service/forward_to_x/secure/api/service/y"
  }
}
node "n" {
  tcp_inlet "y" {
    from  = "127.0.0.1:2"
    to    = "/dnsaddr/x/tcp/1/project/q/service/y"
    allow = "anyone"
  }
  tcp_inlet "z" {
    from  = "127.0.0.1:3"
    to    = "/project/q/dnsaddr/x/tcp/1/service/y"
    allow = "anyone"
  }
  tcp_inlet "u" {
    from  = "127.0.0.1:4"
    to    = "/project/x y/service/y"
    allow = "anyone"
  }
  relay "w" { at = "/project/q/service/y" }
}
