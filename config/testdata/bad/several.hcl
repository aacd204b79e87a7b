locals {
  relay = "/dnsaddr/relay.example.com/tcp/4000"
}

nod "x" {}

node "app" {
  idenity = "me"
	tcp_inlet "db" {
		from  = "15432"
		to    = "${local.realy}/secure/api/service/postgres"
		allow = node.bd.identifier
	}
  tcp_outlet "web" {
    to = "demo:wbe"
  }
}
