# A project of your own, on a host that all members can reach: a node with
# relays for its members, and an authority that says who is a member. With
# project-db.hcl and project-app.hcl on two other machines:
#
#     psql ──► inlet ──────────► relay ──────────► outlet ──► PostgreSQL
#              project-app.hcl   this file         project-db.hcl
#
# Neither of the two opens a port or knows the other's identity: the authority
# vouches for both. The relay carries what they say to each other and can neither
# read nor alter it.
#
#     export ADMIN_ID=$(ockam identity show) RELAY_HOST=relay.example.com
#     ockam run examples/project.hcl
#
# A ticket makes one machine a member, for ten minutes from now, with what the
# authority is to say about it. Who may have one made is an enroller, below:
#
#     ockam project ticket --relay db > db.ticket
#     ockam project ticket > app.ticket

node "relay" {
  project "default" {
    # Where members reach the relays and the authority: one port for both.
    listen = "0.0.0.0:4000"
    # How that is called from outside. Needed here, as 0.0.0.0 does not tell.
    address = "${env("RELAY_HOST")}:4000"

    authority {
      # How long who is no longer a member may go on.
      lifetime = "5m"
      # Members are kept on this machine, or, for several authorities, in one
      # PostgreSQL: database = env("DATABASE_URL")
    }

    # Who is a member without a ticket, by identifier.
    members = {
      (env("ADMIN_ID")) = { ockam-role = "enroller" }
    }
  }
}
