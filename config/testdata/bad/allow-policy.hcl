node "app" {
  authority = file("authority.txt")
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = "(= subject.has_credential true"
  }
  tcp_outlet "operator" {
    to    = "127.0.0.1:5432"
    allow = "subject.role == \"db\""
  }
  relay_service {
    allow = "admin and"
  }
  tcp_outlet "word" {
    to    = "127.0.0.1:5432"
    allow = "Admin!"
  }
}
