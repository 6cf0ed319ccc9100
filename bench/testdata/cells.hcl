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

  proxy {
    crawlers { header = "X-Crawler" }
  }
  {{- if .Topic}}
  spool { topics = ["{{.Topic}}"] }
  {{- end}}
}
