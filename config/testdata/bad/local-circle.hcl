locals {
  a = local.b
  b = "${local.a}"
}
node "app" {
  listener "tcp" { address = "127.0.0.1:4000" }
}
