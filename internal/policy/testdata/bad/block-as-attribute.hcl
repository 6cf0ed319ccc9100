service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  utilization = 0.8
  beat {}
}
