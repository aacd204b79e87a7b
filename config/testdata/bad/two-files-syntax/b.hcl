node "b {
}
