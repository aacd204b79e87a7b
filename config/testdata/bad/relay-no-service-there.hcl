node "app" {
  relay "x" { at = "/node/hub/secure/api" }
}
node "hub" {
  listener "tcp" { address = "127.0.0.1:4001" }
}
