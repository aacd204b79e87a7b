node "app" {
  relay "a" { at = "/ip4/127.0.0.1/tcp/${local.port}/secure/api" }
}
