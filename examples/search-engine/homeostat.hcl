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
    release_idle    = "15s"          # default: 20m
    release_pauses  = 0.05           # default: 2
    release_window  = "5s"           # default: 30s
    release_after   = "10s"          # default: 5m
    rate_window     = "5s"           # default: 1m
    rate_backlog    = "2s"           # default: 30s
    signal_away     = "10s"          # default: 1m
  }
}

# API cells store pages and answer searches. Their sidecars stand before them:
# clients come first, crawlers get what clients leave. They are scaled by their
# requests, and trusted with less while they are slow; where a database is what makes
# them slow, that one grows.
service "api" {
  min   = 1
  max   = 3
  beat  = "1s"
  needs = ["db"]
  pair  = "db"

  terraform { dir = "terraform/api" }

  proxy {
    trusted = ["127.0.0.0/8"]       # the front: it says whose a request is, and has many connections
    crawlers { paths = ["/pages"] } # and who sends the header Homeostat-Crawler
  }

  # How many clients wait is up to the front and the proxy; how long, to this.
  latency {
    upper = "1s"
  }

  metrics {
    busy      = "api_search_busy"
    in_flight = "api_in_flight"
  }

  # URLs wait here for the queue while clients need the cell, and say to which API
  # their pages are to go.
  spool {
    topics = ["urls"]
    hold   = "10s" # default: 60s
  }

  front {
    slow_start = "5s" # default: 30s
    drain_time = "2s" # default: 30s
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

  # As above.
  law {
    need_window     = "20s"
    look_backs      = ["5s", "15s"]
    first_look_back = "5s"
    half_life       = "10m"
    relearn         = "5s"
    mean_time       = "1m"
    trend_min       = "5s"
    trend_max       = "10s"
    prior_time      = "30s"
    prior_births    = 5
    drain_min       = "5s"
    release_idle    = "15s"
    release_window  = "5s"
    release_after   = "10s"
    rate_window     = "5s"
    signal_away     = "10s"
    effect_time     = "10s" # default: 1m
  }
}

# The front is where clients come: it sends each to an API that has room. It has no
# signal of load here; where clients are many there are several, behind DNS.
service "front" {
  min  = 1
  max  = 1
  beat = "1s"

  terraform { dir = "terraform/front" }

  health {
    http     = "/healthz"
    interval = "500ms"
    ttl      = "4s"
  }

  birth {
    time        = "4s"
    timeout     = "30s"
    backoff_min = "2s"
  }

  replace { after = "4s" }
}

# Databases hold data: a dead one is started again over its own folder, and never
# replaced by an empty one. Each API writes to its own and reads all. They have no
# signal of load; an API that finds none with room asks for one more.
service "db" {
  min        = 2
  max        = 3
  beat       = "1s"
  holds_data = true

  terraform { dir = "terraform/db" }

  postgres {
    sslmode           = "disable"
    connections_upper = 0.8
    probe_upper       = "250ms" # default: 50ms; two cores are shared by all of this
  }

  # One that is to leave, as when a person lowers max, moves its rows before.
  drain {
    command = ["/opt/search-engine/db", "move"] # has an hour, unless command_timeout says otherwise
    timeout = "5s"
  }

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
