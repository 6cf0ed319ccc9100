# A web service behind fronts, and the Consul servers that know of both: three
# services of one policy.
#
# Durations are short, so that a fail-over can be watched; a comment says what
# production has.

# The first server, begun by hand, and the two that are cells (modules/health-checker
# says their ports). Sidecars and fronts go to the next one when one is gone.
consul { addresses = ["127.0.0.1:8500", "127.0.0.1:18500", "127.0.0.1:18503"] }

service "api" {
  min  = 2
  max  = 4
  beat = "1s" # default: 5s

  terraform { dir = "terraform/api" }

  health {
    http     = "/health"
    interval = "500ms" # default: 2s
    ttl      = "4s"    # default: 10s
  }

  drain {
    path    = "/drain"
    timeout = "10s" # default: 1m
  }

  front {}
}

service "front" {
  min  = 2
  max  = 3
  beat = "1s"

  terraform { dir = "terraform/front" }

  health {
    http     = "/healthz"
    interval = "500ms"
    ttl      = "4s"
  }

  drain { timeout = "5s" }
}

# With the first one there are three servers: two have to live. More of them hold more
# copies and no more load, so nothing scales them.
service "health-checker" {
  min        = 2
  max        = 4
  beat       = "1s"
  holds_data = true

  terraform { dir = "terraform/health-checker" }

  # Only that it answers: a server that waits for its majority isn't dead.
  health {
    http     = "/v1/status/leader"
    interval = "500ms"
    ttl      = "4s"
  }

  # It leaves the others as a member does that won't come back.
  drain {
    command         = ["sh", "-c", "exec sh \"$SERVER\" leave"]
    command_timeout = "1m"
    timeout         = "5s"
  }

  birth {
    time        = "10s" # default: 1m
    backoff_min = "2s"  # default: 30s
  }

  replace { after = "4s" } # default: 30s
}
