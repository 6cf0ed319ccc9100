kafka { brokers = ["127.0.0.1:9092"] }

service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  kafka_lag {
    topic = "urls"
    group = "crawlers"
    upper = "30s"
    on_unknown = 4
  }
}
