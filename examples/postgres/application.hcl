# Beside the application, which then finds PostgreSQL at 127.0.0.1:15432.

locals {
  relay = "/dnsaddr/${env("RELAY_HOST")}/tcp/4000"
}

node "application" {
  tcp_inlet "postgres" {
    from  = env("LISTEN", "127.0.0.1:15432")
    to    = "${local.relay}/service/forward_to_database/secure/api/service/postgres"
    allow = env("DATABASE_ID") # who must be at the far end
  }
}
