# the three files of the design in one
locals { relay = "/dnsaddr/relay.example.com/tcp/4000" }
node "db" {
  relay "db" { at = "${local.relay}/secure/api" }
  tcp_outlet "postgres" {
    to    = "127.0.0.1:5432"
    allow = "I2222222222222222222222222222222222222222222222222222222222222222"
  }
}
node "app" {
  tcp_inlet "postgres" {
    from  = "127.0.0.1:15432"
    to    = "${local.relay}/service/forward_to_db/secure/api/service/postgres"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
node "relay" {
  listener "tcp" { address = "0.0.0.0:4000" }
  relay_service { allow = ["I1111111111111111111111111111111111111111111111111111111111111111"] }
}
