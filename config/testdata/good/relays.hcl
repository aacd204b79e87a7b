node "hub" {
  ephemeral = true
  listener "tcp" { address = "0.0.0.0:4000" }
  relay_service { allow = "anyone" }
}
node "web" {
  ephemeral = true
  relay "web" {
    at    = "/node/hub/secure/api"
    allow = node.hub.identifier
  }
  relay "plain" { at = "/node/hub" }
  tcp_outlet "page" {
    to    = "demo:web"
    allow = node.app.identifier
  }
}
node "app" {
  ephemeral = true
  tcp_inlet "page" {
    from  = "127.0.0.1:8080"
    to    = "/node/hub/service/forward_to_web/secure/api/service/page"
    allow = node.web.identifier
  }
}
