# A database that has no sidecar of its own.
resource "homeostat_health_check" "db" {
  service = "db"
  name    = "db-1"
  address = "10.0.0.5"
  port    = 5432

  tcp = {
    address  = "10.0.0.5:5432"
    interval = "5s"
    timeout  = "1s"
  }
}
