# The whole of it in one process, on this machine alone:
#
#     go run . run examples/quickstart.hcl
#     curl http://127.0.0.1:18080/
#
#     curl ──► inlet ───────► relay ───────► outlet ──► web page
#              node "app"     node "relay"   node "web"
#
# In earnest the three nodes run on three machines, each with a file of its
# own; examples/postgres shows that. Here they share a process, but they talk
# over TCP as they would then, and what the relay sees is sealed.
#
# An ephemeral node makes a new identity for each run and writes nothing.

# The relay is the only node that others connect to. It carries what "app" and
# "web" say to each other and can neither read nor alter it.
node "relay" {
  ephemeral = true

  listener "tcp" {
    address = "127.0.0.1:14000"
  }

  # Who may register a name here. node.web.identifier is the identity of the
  # node "web" below; of a node on another machine one writes the identifier
  # that "ockam identity show" prints there.
  relay_service {
    allow = node.web.identifier
  }
}

# Beside the service. This node opens no port: it connects to the relay.
node "web" {
  ephemeral = true

  # Makes this node reachable at the relay, as "forward_to_web". The place
  # reads from left to right: connect to 127.0.0.1, port 14000, and make a
  # secure channel there, with the listener "api" that every node has.
  relay "web" {
    at    = "/ip4/127.0.0.1/tcp/14000/secure/api"
    allow = node.relay.identifier # who must be there
  }

  # What can be reached through this node, and by whom. "demo:web" is a page
  # built into this program; a service of yours would be "127.0.0.1:8080".
  tcp_outlet "page" {
    to    = "demo:web"
    allow = node.app.identifier
  }
}

# Beside the people or programs that use the service.
node "app" {
  ephemeral = true

  # Whoever connects to 127.0.0.1:18080 is connected to the outlet "page".
  # The way there: to the relay, on to "web" behind it, and only then the
  # secure channel, so that it ends at "web" and not at the relay.
  tcp_inlet "page" {
    from  = "127.0.0.1:18080"
    to    = "/ip4/127.0.0.1/tcp/14000/service/forward_to_web/secure/api/service/page"
    allow = node.web.identifier # who must be at the far end
  }
}
