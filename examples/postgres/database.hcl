# On the database's host, or any other that reaches PostgreSQL. No port is
# opened: the node connects to the relay and keeps that connection.

locals {
  relay = "/dnsaddr/${env("RELAY_HOST")}/tcp/4000"
}

node "database" {
  # Makes this node reachable at the relay, as "forward_to_database".
  relay "database" {
    at    = "${local.relay}/secure/api"
    allow = env("RELAY_ID") # who must be there; without this line, whoever answers
  }

  tcp_outlet "postgres" {
    to    = env("POSTGRES", "127.0.0.1:5432")
    allow = env("APPLICATION_ID") # or a list: ["I…", "I…"]
  }
}
