# Every block, most fields.
bundle = "bundles"

consul {
  addresses   = ["consul-1.example:8501", "[::1]:8501"]
  scheme      = "https"
  datacenter  = "dc1"
  token_file  = "/etc/homeostat/token"
  ca_file     = "ca.pem"
  cert_file   = "cert.pem"
  key_file    = "key.pem"
  prefix      = "teams/search/homeostat"
  session_ttl = "15s"
  lock_delay  = "0s"
  timeout     = "2s"
}

kafka {
  brokers = ["kafka-1.example:9093", "kafka-2.example:9093"]
  timeout = "1s"
  tls {
    ca_file     = "ca.pem"
    cert_file   = "cert.pem"
    key_file    = "key.pem"
    server_name = "kafka.example"
  }
  sasl {
    mechanism    = "scram-sha-256"
    username     = "homeostat"
    password_env = "KAFKA_PASSWORD"
  }
}

service "api" {
  genome = "api.genome.hcl"

  min   = 2
  max   = 20
  beat  = "2s"
  needs = ["db"]
  pair  = "db"
  lead  = ["crawler", "db"]

  terraform {
    dir               = "api"
    variable          = "api_count"
    binary            = "/usr/local/bin/tofu"
    workspace         = "production"
    parallelism       = 10
    timeout           = "20m"
    lock_timeout      = "10s"
    var_files         = ["common.tfvars", "production.tfvars"]
    ephemeral_vars    = { db_password = "DB_PASSWORD" }
    backend_config    = { path = "terraform/api" }
    env               = { AWS_REGION = "eu-central-1" }
    may_change        = ["aws_lb_target_group.api"]
    on_foreign_change = "hold"
  }

  requests {
    arrived = "http_requests_total"
    refused = "http_requests_refused_total"
  }

  latency {
    histogram  = "http_request_seconds"
    labels     = { handler = "search" }
    quantile   = 0.95
    upper      = "250ms"
    on_unknown = 4
  }

  metrics {
    path      = "/internal/metrics"
    port      = 9100
    busy      = "workers_busy_ratio"
    workers   = 8
    in_flight = "http_requests_in_flight"
    timeout   = "500ms"
  }

  health {
    http     = "/healthz"
    interval = "1s"
    timeout  = "500ms"
    ttl      = "6s"
    grace    = "30s"
    failures = 2
  }

  drain {
    path    = "/drain"
    timeout = "30s"
  }

  birth {
    time        = "3m"
    timeout     = "15m"
    backoff_min = "10s"
    backoff_max = "5m"
    trial_after = 2
  }

  replace {
    after     = "20s"
    mass_hold = "1m"
  }

  renew {
    at_once = 3
  }

  spool {
    topics            = ["urls", "pages"]
    dir               = "/var/lib/api/spool"
    hold              = "30s"
    spread            = "5s"
    max_bytes         = 268435456
    max_age           = "10m"
    segment_bytes     = 4194304
    max_message_bytes = 100000
    max_batch         = 200
    max_request_bytes = 1000000
  }

  schedule "mornings" {
    cron      = "30 7 * * 1-5"
    end       = "0 19 * * 1-5"
    time_zone = "Europe/Berlin"
    min       = 8
    max       = 40
    ahead     = "10m"
  }

  schedule "new-year" {
    cron = "0 22 31 12 *"
    for  = "4h"
    max  = 60
  }

  limits {
    destroys_per_apply = 5
    destroys_per_hour  = 30
    changes_per_hour   = 20
  }

  law {
    price           = 0.985
    look_backs      = ["30s", "5m", "2h"]
    first_look_back = "30s"
    release_after   = "10m"
  }
}

service "crawler" {
  min    = 0
  max    = 100
  needs  = ["api"]
  yields = true

  terraform { dir = "crawler" }

  kafka_lag {
    topic              = "urls"
    group              = "crawlers"
    upper              = "1m"
    consumers_per_cell = 2
    on_unknown         = "floor"
  }
}

# Behind a proxy, which measures it.
service "front-api" {
  min = 1
  max = 9

  terraform { dir = "front-api" }

  latency { upper = "250ms" }

  proxy {
    listen       = "0.0.0.0"
    redirect     = "proxy"
    hot          = 0.8
    slow_start   = "30s"
    retry_after  = "5s"
    retry_memory = "0s"
    trusted      = ["10.0.0.0/8", "fd00::/8"]

    crawlers {
      header       = "X-Crawler"
      value        = "yes"
      paths        = ["/pages"]
      port         = 8081
      certificates = ["crawler.example"]
    }

    concurrency {
      initial        = 50
      min            = 10
      max            = 500
      tolerance      = 2
      smoothing      = 0.1
      window         = "50ms"
      samples        = 10
      probe          = "30s"
      probe_share    = 0.5
      client_reserve = 0.2
      demand_window  = "2s"
    }

    wait {
      max      = "500ms"
      standing = "50ms"
      interval = "200ms"
      length   = 100
    }

    bounds {
      header_bytes            = 16384
      header_time             = "2s"
      body_bytes              = 1048576
      grace                   = "5s"
      rate                    = 4096
      answer                  = "10s"
      idle                    = "1m"
      keep_alive              = "2s"
      connections             = 500
      connections_per_address = 50
    }

    tls {
      cert_file      = "api.pem"
      key_file       = "api.key"
      ca_file        = "cells-ca.pem"
      server_name    = "api.example"
      client_ca_file = "crawlers.pem"
    }
  }
}

# Only kept: no signal of load.
service "db" {
  min        = 1
  max        = 1
  holds_data = true
  lead       = []
  members    = "state"

  terraform { dir = "db" }
  health { tcp = true }

  postgres {
    host              = "127.0.0.1"
    port              = 5432
    database          = "search"
    user              = "watcher"
    password_file     = "/etc/homeostat/db"
    sslmode           = "verify-full"
    ca_file           = "ca.pem"
    timeout           = "1s"
    fresh             = "30s"
    connections_upper = 0.7
    probe_upper       = "20ms"
  }
}
