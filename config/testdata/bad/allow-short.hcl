node "app" {
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = "I11111111111111111111111111"
  }
}
