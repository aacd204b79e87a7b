node "a" {
  identity = "me"
  listener "tcp" { address = "127.0.0.1:4000" }
}
node "b" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:0" }
}
node "c" {
  ephemeral = false
  listener "tcp" { address = "127.0.0.1:0" }
}
