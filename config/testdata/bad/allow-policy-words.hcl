node "app" {
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = "subject.role or subject.name"
  }
}
