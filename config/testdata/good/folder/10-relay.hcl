locals { port = 4000 }
node "relay" {
  listener "tcp" { address = "127.0.0.1:${local.port}" }
  relay_service { allow = node.app.identifier }
}
