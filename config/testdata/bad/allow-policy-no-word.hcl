node "app" {
  authority = file("authority.txt")
  tcp_outlet "near" {
    to    = "127.0.0.1:5432"
    allow = "anyon"
  }
  tcp_outlet "everyone" {
    to    = "127.0.0.1:5432"
    allow = "everyone"
  }
  tcp_outlet "short" {
    to    = "127.0.0.1:5432"
    allow = "I111111111111"
  }
  tcp_outlet "node" {
    to    = "127.0.0.1:5432"
    allow = "app"
  }
}
