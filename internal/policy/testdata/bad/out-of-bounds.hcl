service "a" {
  min  = -1
  max  = 0
  beat = "1ms"
  terraform {
    dir         = "a"
    parallelism = 0
  }
  latency {
    histogram = "page_seconds"
    quantile  = 1
    upper     = "0s"
  }
  utilization {
    lower = -0.1
    upper = 1.5
  }
  metrics { port = 65536 }
  limits { changes_per_hour = 0 }
  law {
    price      = 1
    staffing   = 0
    look_backs = ["0s"]
  }
}

consul { session_ttl = "5s" }
