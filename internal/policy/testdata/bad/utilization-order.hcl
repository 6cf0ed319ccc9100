service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  utilization { lower = 0.95 }
}
