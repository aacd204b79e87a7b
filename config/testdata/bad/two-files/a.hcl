locals { x = 1 }
node "app" {
  listener "tcp" { address = "127.0.0.1:4000" }
}
