service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  topic = "urls"
  price = 0.9
  brokers = ["a:1"]
}
