service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

consul { addresses = ["10.0.0.1:8500", "10.0.0.1:8500"] }

kafka { brokers = ["kafka-1:70000"] }
