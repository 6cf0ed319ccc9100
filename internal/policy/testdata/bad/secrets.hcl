service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

consul { token = "b1946ac9" }

kafka {
  brokers = ["127.0.0.1:9092"]
  sasl {
    username = "homeostat"
    password = "hunter2"
  }
}
