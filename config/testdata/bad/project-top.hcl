project "default" { listen = "127.0.0.1:4000" }
authority { lifetime = "5m" }
node "a" {
  authority { lifetime = "5m" }
  listener "tcp" { address = "127.0.0.1:4000" }
}
