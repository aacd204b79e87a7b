locals {
  # of one another, in any order
  place = "${local.relay}/secure/api"
  relay = env("NOT_SET", "/ip4/10.0.0.1/tcp/4000")
}
node "a" {
  relay "x" { at = local.place }
}
