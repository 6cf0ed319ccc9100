service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

consul { addresses = [] }

kafka { brokers = ["::1:9092"] }
