node "app" {
  relay "x" { at = "/node/relay/secure/api" }
}
node "relay" {
  listener "tcp" { address = "127.0.0.1:0" }
  relay_service { allow = node.app.identifier }
}
