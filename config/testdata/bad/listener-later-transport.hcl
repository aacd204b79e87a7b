node "app" {
  listener "quic" { address = "127.0.0.1:4000" }
}
