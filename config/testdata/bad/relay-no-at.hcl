node "app" {
  relay "x" {}
}
