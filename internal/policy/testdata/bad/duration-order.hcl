service "a" {
  min = 1
  max = 3

  terraform {
    dir     = "a"
    timeout = "30s"
  }
  drain { path = "/drain" }
  birth {
    time        = "15m"
    backoff_max = "20s"
  }
}
