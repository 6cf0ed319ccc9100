# The policy of the search engine: one file, the same beside every cell.
#
# Durations are short, so that the whole life of the system can be watched in
# some minutes. Where production would have something else, a comment says what;
# "default" means that the line is left out.

consul { address = "127.0.0.1:8500" }

kafka { brokers = ["127.0.0.1:9092"] }

# Crawlers take URLs from the queue. They are scaled by the backlog there.
service "crawler" {
  min   = 1
  max   = 8
  beat  = "1s" # default: 5s
  needs = ["api"]

  terraform { dir = "terraform/crawler" }

  kafka_lag {
    topic = "urls"
    group = "crawlers"
    upper = "10s" # how long a URL may wait; for a crawl of the web: minutes
  }

  utilization {
    lower = 0.3
    upper = 0.9
  }

  metrics {
    busy      = "crawler_busy"
    in_flight = "crawler_in_flight"
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
    time        = "4s"  # before any was measured; a machine in a cloud: 1m
    timeout     = "30s" # default: 10m
    backoff_min = "2s"  # default: 30s
  }

  replace { after = "4s" } # default: 30s

  limits { changes_per_hour = 1000 } # default: 12

  # The law's own constants; production leaves all of this out.
  law {
    need_window     = "20s"          # default: 160s
    look_backs      = ["5s", "15s"]  # default: 1m, 5m, 20m, 1h
    first_look_back = "5s"           # default: 5m
    half_life       = "10m"          # default: 48h
    relearn         = "5s"           # default: 1m
    mean_time       = "1m"           # default: 6h
    trend_min       = "5s"           # default: 1m
    trend_max       = "10s"          # default: 10m
    prior_time      = "30s"          # default: 2h
    prior_births    = 5              # default: 20
    drain_min       = "5s"           # default: 30s
    release_window  = "5s"           # default: 30s
    release_after   = "10s"          # default: 5m
    rate_window     = "5s"           # default: 1m
    rate_backlog    = "2s"           # default: 30s
    signal_away     = "10s"          # default: 1m
  }
}

# API cells store pages and answer searches. They are scaled by their requests,
# and trusted with less while they are slow.
service "api" {
  min   = 1
  max   = 3
  beat  = "1s"
  needs = ["db"]

  terraform { dir = "terraform/api" }

  requests {
    arrived = "api_requests_total"
    refused = "api_requests_refused_total"
  }

  latency {
    histogram = "api_request_seconds"
    labels    = { route = "/pages" }
    upper     = "1s"
  }

  metrics {
    busy      = "api_busy"
    in_flight = "api_in_flight"
  }

  health {
    http     = "/healthz"
    interval = "500ms"
    ttl      = "4s"
  }

  drain {
    path    = "/drain"
    timeout = "10s"
  }

  birth {
    time        = "4s"
    timeout     = "30s"
    backoff_min = "2s"
  }

  replace { after = "4s" }

  limits { changes_per_hour = 1000 }
}

# The database holds data: a dead cell is started again over its own folder, and
# never replaced by an empty one. It has no signal to scale by and stays at one.
service "db" {
  min        = 1
  max        = 1
  beat       = "1s"
  holds_data = true

  terraform { dir = "terraform/db" }

  health {
    tcp      = true
    interval = "500ms"
    ttl      = "4s"
  }

  birth {
    time        = "4s"
    timeout     = "60s"
    backoff_min = "2s"
  }

  replace { after = "4s" }
}
