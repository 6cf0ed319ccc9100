service "a" {
  kafka_lag {}
}

kafka {}
