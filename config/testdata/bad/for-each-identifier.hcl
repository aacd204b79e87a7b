node "app" {
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
    for_each = [node.app.identifier]
  }
}
