node "relay" {
  listener "tcp" { address = "0.0.0.0:4000" }
}
