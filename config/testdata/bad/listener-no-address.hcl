node "app" {
  listener "tcp" {}
}
