# All that a project can say.
node "relay" {
  identity = "hub"
  project "acme" {
    listen  = "0.0.0.0:4000"
    address = "relay.example.com:4000"
    id      = "p1"
    authority {
      identity = "acme-issuer"
      lifetime = "10m"
      database = "postgres://ockam:secret@db.example.com:5432/ockam?sslmode=require"
    }
    members = {
      (env("DB_NODE"))       = { ockam-role = "enroller" }
      (node.app.identifier)  = { team = "web", "odd name" = "" }
      "I4444444444444444444444444444444444444444444444444444444444444444" = {}
    }
    account_authority    = file("authority.txt")
    enforce_admin_checks = true
  }
  # Who reaches the node's own outlet is a member, too.
  tcp_outlet "page" { to = "demo:web" }
}

# The least; its address is that on which it listens.
node "small" {
  project "default" { listen = "192.0.2.1:4001" }
}

# Members from elsewhere, and an address that the machine has to know.
locals { members = { (node.app.identifier) = {}, "I1111111111111111111111111111111111111111111111111111111111111111" = { ockam-relay = "*" } } }
node "third" {
  project "third" {
    listen  = "[::]:4002"
    address = "2001:db8::1" # with the port of listen
    members = local.members
    authority {}
  }
  listener "tcp" { address = "127.0.0.1:4003" }
}
node "app" {
  project = "acme"
  tcp_inlet "page" {
    from = "127.0.0.1:15432"
    to   = "/project/acme/service/page"
  }
}
# Its address is for the node to find.
node "unsaid" {
  project "unsaid" { listen = "0.0.0.0:4005" }
}
node "named" {
  project "named" {
    listen  = "0.0.0.0:4006"
    address = "relay.example.com"
  }
}
