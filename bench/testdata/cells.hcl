# Cells with their own proxy, and a front before them. Nothing is tuned to the
# application but the time in which clients want their answer.
consul { address = "{{.Consul}}" }
{{- if .Topic}}
kafka { brokers = ["{{.Kafka}}"] }
{{- end}}

service "{{.Service}}" {
  min = 1
  max = 20

  terraform { dir = "none" }

  latency { upper = "{{.SLO}}" }

  # All clients of a benchmark have one address, and so have all requests of its front.
  front { connections_per_address = 8000 }

  proxy {
    trusted = ["127.0.0.0/8"]
    crawlers { header = "X-Crawler" }
  }
  {{- if .Topic}}
  spool { topics = ["{{.Topic}}"] }
  {{- end}}
}
