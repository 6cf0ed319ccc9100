# One service that is scaled by how slow its answers are, and by nothing else:
# no queue, no counters of requests, only a histogram of its own.
#
# As in the search engine's policy, durations are short, and a comment says what
# production has.

consul { address = "127.0.0.1:8500" }

service "server" {
  min  = 1
  max  = 4
  beat = "1s" # default: 5s

  terraform { dir = "terraform/server" }

  # Of a hundred answers one may take longer than this.
  latency {
    histogram = "answer_seconds"
    quantile  = 0.99
    upper     = "250ms"
  }

  # How busy a cell is follows from the histogram, too: the time that answers
  # took, over that of the workers.
  metrics {
    workers   = 16
    in_flight = "server_in_flight"
  }

  health {
    http     = "/healthz"
    interval = "500ms" # default: 2s
    ttl      = "4s"    # default: 10s
  }

  drain {
    path    = "/drain"
    timeout = "10s" # default: 1m
  }

  birth {
    time        = "4s"  # a machine in a cloud: 1m
    timeout     = "30s" # default: 10m
    backoff_min = "2s"  # default: 30s
  }

  replace { after = "4s" } # default: 30s

  # The law's own constants; production leaves all of this out.
  law {
    need_window     = "20s"         # default: 160s
    look_backs      = ["5s", "15s"] # default: 1m, 5m, 20m, 1h
    first_look_back = "5s"          # default: 5m
    relearn         = "5s"          # default: 1m
    prior_time      = "30s"         # default: 2h
    prior_births    = 5             # default: 20
    release_idle    = "30s"         # default: 20m
    release_window  = "10s"         # default: 30s
    release_after   = "20s"         # default: 5m
    rate_window     = "5s"          # default: 1m
    guard_time      = "3s"          # default: 1m
  }
}
