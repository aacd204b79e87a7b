node "app" {
  listener "tcp" { address = "127.0.0.1:4000" }
  relay "x" { at = "/node/relai/secure/api" }
}
node "relay" {
  listener "tcp" { address = "127.0.0.1:4001" }
  relay_service { allow = node.app.identifier }
}
