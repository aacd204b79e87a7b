node "app" {
  listener "tcp" { address = ":4000" }
}
