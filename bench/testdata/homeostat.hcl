# Homeostat's own proxy before the application. It is told neither how many workers
# that has nor how long a request takes.
consul { address = "{{.Consul}}" }

service "api" {
  min = 1
  max = 1

  terraform { dir = "none" }

  latency { upper = "{{.SLO}}" }

  proxy {
    redirect   = "off"
    slow_start = "0s"

    # All clients of a benchmark have one address.
    bounds { connections_per_address = 8000 }
    {{- if .Workers}}
    crawlers { header = "X-Crawler" }
    {{- end}}
  }
}
