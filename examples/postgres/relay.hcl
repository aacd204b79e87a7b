# On a host that the other two can reach. It sees sealed traffic only.

node "relay" {
  listener "tcp" {
    address = "0.0.0.0:4000"
  }

  # Only the database's node may register a name.
  relay_service {
    allow = env("DATABASE_ID")
  }
}
