node "app" {
  listener "tpc" { address = "127.0.0.1:4000" }
}
