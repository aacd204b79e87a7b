node "app" {
  services = ["uppercase", "hop"]
  listener "tcp" { address = "127.0.0.1:4000" }
}
