node "a" {
  project "x y" {
    listen  = "4000"
    address = "0.0.0.0:4000"
    id      = "a,b"
  }
}
node "b" {
  ephemeral = true
  project "p" {
    listen               = "unix:/run/x.sock"
    address              = "relay.example.com:0"
    enforce_admin_checks = true
    account_authority    = "zz"
  }
  project "q" { listen = "127.0.0.1:4000" }
}
node "c" {
  project = "other"
  ticket  = file("ticket.txt")
  project "p" {
    authority {
      identity = "c"
      lifetime = "1h30m"
      database = "mysql://user:secret@host/x"
    }
    authority { lifetime = "5m" }
  }
  relay "x" {}
  tcp_inlet "y" {
    from = "127.0.0.1:1"
    via  = "x"
  }
}
node "d" {
  project "r" {
    listen               = "127.0.0.1:4000"
    enforce_admin_checks = true
    authority {
      identity = "a/b"
      lifetime = "31d"
      database = "host"
      other    = 1
    }
  }
}
node "e" {
  project "s" {
    listen = 4000
    relay "x" {}
    authority {
      lifetime = 5
      database = "postgres://user:secret@host"
    }
  }
}
node "f" {
  project { listen = "127.0.0.1:4005" }
}
node "g" {
  project "g" {
    listen = "127.0.0.1:4000"
    for_each = [1]
    authority {
      database = "postgres:///x"
      lifetime = "0s"
    }
  }
  tcp_inlet "z" {
    from  = "127.0.0.1:2"
    to    = "/node/g/service/x"
    allow = "anyone"
  }
}
