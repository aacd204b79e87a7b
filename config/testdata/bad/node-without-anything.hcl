node "app" {
  ephemeral = true
}
