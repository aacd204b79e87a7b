node "app" {
  services = "uppercase"
}
