service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  kafka_lag {
    topic = "urls"
    group = "crawlers"
    upper = "30s"
  }
}
