service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  holds_data = true
}
