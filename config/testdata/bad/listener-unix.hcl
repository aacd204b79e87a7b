node "app" {
  listener "tcp" { address = "unix:/run/x" }
}
