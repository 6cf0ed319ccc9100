service "a" {
  min        = "1"
  max        = 2.5
  beat       = ["5s"]
  holds_data = "yes"
  needs      = "db"
  members    = 3

  terraform {
    dir         = 5
    parallelism = 1e30
    var_files   = ["a.tfvars", 7]
    env         = { REGION = 1 }
    workspace   = null
  }
  utilization { upper = "85%" }
  latency {
    histogram  = "page_seconds"
    upper      = "2s"
    labels     = ["handler"]
    on_unknown = "wait"
  }
  law { look_backs = ["1m", 5] }
}
