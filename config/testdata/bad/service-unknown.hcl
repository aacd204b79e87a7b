# A service that no node has.
node "app" {
  services = ["uppercase", "ekho"]

  listener "tcp" { address = "127.0.0.1:4000" }
}
