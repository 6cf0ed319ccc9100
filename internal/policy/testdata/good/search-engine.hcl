consul { address = "127.0.0.1:8500" }
kafka  { brokers = ["127.0.0.1:9092"] }

service "crawler" {
  min = 1
  max = 40

  terraform {
    dir         = "crawler"       # a root module
    variable    = "desired_count"
    parallelism = 50
    timeout     = "15m"
    # binary, workspace, var_files, ephemeral_vars, backend_config, env, lock_timeout, may_change, on_foreign_change
  }

  kafka_lag {                     # lag is judged by how long it takes to work off
    topic = "urls"
    group = "crawlers"
    upper = "30s"
  }

  utilization {                   # the share of a cell's rate it is trusted with
    lower = 0.5
    upper = 0.85
  }

  latency {                       # analysing a page must not become slow
    histogram = "page_seconds"    # scraped from the application's own /metrics
    quantile  = 0.99
    upper     = "2s"
  }
}
