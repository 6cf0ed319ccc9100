service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

consul { address = "http://127.0.0.1:8500/" }

kafka { brokers = ["kafka-1"] }
