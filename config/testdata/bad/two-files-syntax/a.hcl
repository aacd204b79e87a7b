node "a" {
  x = 
}
