node "cut" {
  authority = file("authority-cut.txt")
  tcp_outlet "db" { to = "127.0.0.1:5432" }
}
node "identifier" {
  authority = "I1111111111111111111111111111111111111111111111111111111111111111"
  tcp_outlet "db" { to = "127.0.0.1:5432" }
}
node "number" {
  authority = 7
  tcp_outlet "db" { to = "127.0.0.1:5432" }
}
node "alone" {
  authority = file("authority.txt")
}
