node "app" {
  relay "x" { at = "/node/web/secure/api" }
}
node "web" {
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
