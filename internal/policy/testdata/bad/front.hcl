service "api" {
  min = 1
  max = 4
  terraform { dir = "api" }
  front {
    sticky      = "header"
    list_path   = "/apis/"
    trusted     = ["10.0.0.0/8", "everyone"]
    eject_time  = "10m"
    choices     = 0
    health_path = "healthz"
  }
}
