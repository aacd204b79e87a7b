node "app" {
  tcp_outlet "db" {
    to    = "db.internal"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
