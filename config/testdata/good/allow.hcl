locals {
  team  = ["I1111111111111111111111111111111111111111111111111111111111111111", node.app.identifier]
  byEnv = env("APP_NODE")
}
node "app" {
  listener "tcp" { address = "127.0.0.1:4000" }
}
node "db" {
  tcp_outlet "one" {
    to    = "127.0.0.1:1"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  tcp_outlet "node" {
    to    = "127.0.0.1:1"
    allow = node.app.identifier
  }
  tcp_outlet "index" {
    to    = "127.0.0.1:1"
    allow = node["app"].identifier
  }
  tcp_outlet "mixed" {
    to    = "127.0.0.1:1"
    allow = [local.byEnv, "I1111111111111111111111111111111111111111111111111111111111111111", node.app.identifier]
  }
  tcp_outlet "itself" {
    to    = "127.0.0.1:1"
    allow = node.db.identifier
  }
  tcp_outlet "for" {
    to    = "127.0.0.1:1"
    allow = [for x in local.team : x]
  }
  tcp_outlet "nested" {
    to    = "127.0.0.1:1"
    allow = [local.team, local.byEnv]
  }
  tcp_outlet "upper" {
    to    = "127.0.0.1:1"
    allow = " IABCDEF0000000000000000000000000000000000000000000000000000000000 "
  }
  tcp_outlet "file" {
    to    = "127.0.0.1:1"
    allow = file("friend.txt")
  }
  tcp_outlet "choice" {
    to    = "127.0.0.1:1"
    allow = local.byEnv == "" ? "anyone" : node.app.identifier
  }
  tcp_outlet "open" {
    to    = "127.0.0.1:1"
    allow = "anyone"
  }
}
