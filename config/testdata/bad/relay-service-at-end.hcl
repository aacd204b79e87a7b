node "app" {
  relay "x" { at = "/ip4/10.0.0.1/tcp/4000/secure/api/service/x" }
}
