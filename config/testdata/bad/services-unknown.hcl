node "app" {
  services = ["uppercase", "upercase", "echoes of the past"]
}
