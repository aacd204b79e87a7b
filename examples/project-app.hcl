# Beside the application, which then finds PostgreSQL at 127.0.0.1:15432, as a
# member of the project of project.hcl.
#
#     OCKAM_TICKET=$(cat app.ticket) ockam run examples/project-app.hcl

node "app" {
  ticket = env("OCKAM_TICKET", "")

  # To the outlet "postgres" of the node that is reachable as "db". In full:
  # to = "/project/default/service/forward_to_db/secure/api/service/postgres"
  # Who is at the far end must be a member; allow would say it more narrowly.
  tcp_inlet "postgres" {
    from = env("LISTEN", "127.0.0.1:15432")
    via  = "db"
  }
}
