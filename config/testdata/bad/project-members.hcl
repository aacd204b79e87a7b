node "a" {
  project "p" {
    listen = "127.0.0.1:4000"
    members = {
      "x"                   = {}
      "a"                   = {}
      "anyone"              = {}
      "I1111111111111111111111111111111111111111111111111111111111111111" = ["admin"]
      "I2222222222222222222222222222222222222222222222222222222222222222" = { admin = true }
      "I3333333333333333333333333333333333333333333333333333333333333333" = { "" = "x" }
      "I4444444444444444444444444444444444444444444444444444444444444444" = null
      "I5555555555555555555555555555555555555555555555555555555555555555" = { me = node.a.identifier }
      "Iaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" = {}
      "IAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" = {}
      (node.b.identifier)   = {}
      (node.a.identifier)   = {}
      ("${node.a.identifier}") = {}
      ("x${node.a.identifier}") = {}
      node.a.identifier     = {}
      "I6666666666666666666666666666666666666666666666666666666666666666" = { role = "enroller", ockam-role = "admin", ockam-relai = "x" }
      "I7777777777777777777777777777777777777777777777777777777777777777" = { big = join }
    }
  }
}
node "c" {
  project "q" {
    listen  = "127.0.0.1:4001"
    members = ["I1111111111111111111111111111111111111111111111111111111111111111"]
  }
}
node "d" {
  project "q" {
    listen  = "127.0.0.1:4002"
    members = null
  }
}
