resource "homeostat_cell" "crawler" {
  service = "crawler"
  name    = "crawler-1"

  # The first process is the sidecar; it starts the application and watches it.
  process = {
    command     = ["/usr/local/bin/homeostat", "run", "-policy", "/etc/homeostat.hcl", "--", "/usr/local/bin/crawler"]
    environment = { CRAWLER_WORKERS = "8" }
  }

  drain    = { timeout = "30s" }
  timeouts = { create = "2m" }
}
