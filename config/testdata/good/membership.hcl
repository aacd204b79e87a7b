# Of a project that is known by its name.
node "named" {
  project = "acme"
  relay "db" {}
  relay "elsewhere" { at = "/dnsaddr/relay.example.com/tcp/4000/secure/api" }
  tcp_outlet "pg" { to = "127.0.0.1:5432" }
  tcp_outlet "web" {
    to    = "127.0.0.1:8080"
    allow = "web and not intern"
  }
  relay_service {}
}
# The inlet's label is the outlet's name, or service is.
node "inlets" {
  project = file("project-record.txt")
  tcp_inlet "pg" {
    from = "127.0.0.1:15432"
    via  = "db"
  }
  tcp_inlet "other" {
    from    = "127.0.0.1:15433"
    via     = "db"
    service = "pg"
    allow   = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  tcp_inlet "direct" {
    from = "127.0.0.1:15434"
    to   = "/dnsaddr/db.example.com/tcp/4000/secure/api/service/pg"
  }
  tcp_inlet "each" {
    for_each = ["a", "b"]
    from     = "127.0.0.1:0"
    via      = each.key
    service  = "x"
  }
}
# By a ticket, in both of its forms.
node "ticket" {
  ticket = file("ticket.txt")
  relay "t" {}
}
node "exported" {
  project = "acme"
  ticket  = file("ticket-exported.txt")
  relay "e" {}
}
# The ticket is needed once.
node "later" {
  ticket = env("NO_TICKET", "")
  relay "l" {}
  tcp_inlet "acme" {
    from  = "127.0.0.1:15435"
    to    = "/project/default/service/forward_to_t/secure/api/service/x"
  }
}
# Nothing but short forms: the default project of the machine.
node "short" {
  relay "s" {}
  tcp_outlet "pg" { to = "127.0.0.1:5432" }
}
node "via" {
  tcp_inlet "pg" {
    from = "127.0.0.1:15436"
    via  = "s"
  }
}
# A whole way says of which project, and opens nothing that is not written.
node "whole" {
  tcp_inlet "pg" {
    from  = "127.0.0.1:15437"
    to    = "/project/other/service/forward_to_x/secure/api/service/y"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
node "believing" {
  authority = file("authority.txt")
  relay "b" { at = "/project/other" }
  tcp_outlet "pg" { to = "127.0.0.1:5432" }
}
# One for each run, with a ticket for many.
node "brief" {
  ephemeral = true
  ticket    = file("ticket.txt")
  relay "brief" {}
}
node "unknown" {
  ephemeral = true
  relay "unknown" {}
}
