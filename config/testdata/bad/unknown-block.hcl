nod "app" {}
node "b" {
  listener "tcp" { address = "127.0.0.1:4000" }
  rellay "x" {}
}
