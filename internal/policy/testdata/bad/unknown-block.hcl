service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  utilisation {
    upper = 0.8
  }
  loadbalancer {}
}
