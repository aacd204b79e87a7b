node "web" {
  relay "web" { at = "/ip4/10.0.0.1/tcp/4000/secure/api" }
  tcp_outlet "page" {
    to    = "demo:web"
    allow = node.app.identifier
  }
}
node "app" {
  tcp_inlet "db" {
    from  = "127.0.0.1:15432"
    to    = "/ip4/10.0.0.1/tcp/4000/service/forward_to_web/secure/api/service/pgae"
    allow = "I1111111111111111111111111111111111111111111111111111111111111111"
  }
}
