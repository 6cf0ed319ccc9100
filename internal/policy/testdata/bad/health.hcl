service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  health {
    http = "/healthz"
    tcp  = true
    ttl  = "2s"
  }
}
