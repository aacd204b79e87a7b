locals {
  databases = { staging = 15432, test = 15433 }
  owners    = { app = node.app.identifier, other = "I2222222222222222222222222222222222222222222222222222222222222222" }
}
node "app" {
  tcp_inlet "db" {
    for_each = local.databases
    from     = "127.0.0.1:${each.value}"
    to       = "${env("RELAY")}/service/forward_to_${each.key}/secure/api/service/postgres"
    allow    = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
  relay "r" {
    for_each = ["one", "two"]
    at       = "/dnsaddr/${each.key}.example.com/tcp/4000/secure/api"
  }
  tcp_outlet "page" {
    for_each = local.owners
    to       = "demo:web"
    allow    = each.value
  }
  tcp_outlet "none" {
    for_each = []
    to       = "demo:web"
    allow    = "anyone"
  }
}
