kafka { brokers = ["127.0.0.1:9092"] }

service "a" {
  min = 1
  max = 3

  terraform {
    dir       = "a"
    variable  = "desired count"
    binary    = ""
    workspace = "a b"
    var_files = [""]
  }
  kafka_lag {
    topic = "urls/new"
    group = ""
    upper = "30s"
  }
  latency {
    histogram = "page_seconds{handler=\"x\"}"
    labels    = { "a-b" = "c" }
    upper     = "1s"
  }
  metrics {
    path = "metrics"
    busy = "9busy"
  }
  drain { path = "http://127.0.0.1/drain" }
}

consul { prefix = "/homeostat/" }
