service "a" {
  min = 4
  max = 3
  terraform { dir = "a" }
}
