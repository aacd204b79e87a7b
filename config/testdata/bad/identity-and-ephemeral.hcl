node "app" {
  identity  = "me"
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:4000" }
}
