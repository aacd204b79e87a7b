node "app" {
  authority = file("authority.txt")
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = ["I1111111111111111111111111111111111111111111111111111111111111111", "admin or guest", "admin"]
  }
}
