node "app" {
  listener "tcp" {
    for_each = ["x"]
    address  = "127.0.0.1:0"
  }
}
