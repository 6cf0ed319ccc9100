# Workers that take jobs from a queue: the smallest service that is scaled by load.
#
# Time is compressed five-fold, so that some minutes show what takes most of an hour
# elsewhere: every duration by which the law decides is a fifth of its default,
# which a comment names. Production leaves those lines out.

consul { address = "127.0.0.1:8500" }

kafka { brokers = ["127.0.0.1:9092"] }

service "worker" {
  min  = 1
  max  = 20
  beat = "1s" # default: 5s

  terraform { dir = "terraform" }

  kafka_lag {
    topic = "jobs"
    group = "workers"
    upper = "6s" # how long a job may wait; five times that in production
  }

  metrics {
    busy      = "worker_busy"
    in_flight = "worker_in_flight"
  }

  health {
    http     = "/healthz"
    interval = "500ms" # default: 2s
    ttl      = "5s"    # default: 10s
  }

  drain {
    path    = "/drain"
    timeout = "5s" # default: 1m
  }

  birth {
    time        = "5s"  # before any was measured; a machine in a cloud: 1m
    timeout     = "90s" # default: 10m
    backoff_min = "2s"  # default: 30s
  }

  replace { after = "10s" } # default: 30s

  limits { changes_per_hour = 1000 } # default: 12

  law {
    need_window     = "32s"                       # default: 160s
    look_backs      = ["12s", "1m", "4m", "12m"]  # default: 1m, 5m, 20m, 1h
    first_look_back = "1m"                        # default: 5m
    half_life       = "576m"                      # default: 48h
    relearn         = "12s"                       # default: 1m
    mean_time       = "72m"                       # default: 6h
    trend_min       = "12s"                       # default: 1m
    trend_max       = "2m"                        # default: 10m
    prior_time      = "24m"                       # default: 2h
    drain_min       = "6s"                        # default: 30s
    release_idle    = "4m"                        # default: 20m
    release_window  = "6s"                        # default: 30s
    release_after   = "1m"                        # default: 5m
    patience        = "3m"                        # default: 15m
    stuck_after     = "1m"                        # default: 5m
    rate_window     = "12s"                       # default: 1m
    rate_backlog    = "6s"                        # default: 30s
    effect_time     = "12s"                       # default: 1m
    effect_retry    = "6m"                        # default: 30m
    together        = "24s"                       # default: 2m
    idle_time       = "12m"                       # default: 1h
    signal_away     = "12s"                       # default: 1m
  }
}
