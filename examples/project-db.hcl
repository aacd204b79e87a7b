# Beside the database, or on any host that reaches it, as a member of the project
# of project.hcl. No port is opened: the node connects to the project.
#
#     OCKAM_TICKET=$(cat db.ticket) ockam run examples/project-db.hcl

node "db" {
  # Needed for the first start only; afterwards the node is a member.
  ticket = env("OCKAM_TICKET", "")

  # Makes this node reachable for members, as "db". The ticket must allow it:
  # ockam project ticket --relay db
  relay "db" {}

  # Without allow it is for every member. Narrower, by attributes of tickets:
  # allow = "app", for one that was made with --attribute app
  tcp_outlet "postgres" {
    to = env("POSTGRES", "127.0.0.1:5432")
  }
}
