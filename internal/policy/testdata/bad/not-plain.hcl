service "a" {
  min = var.min
  max = 2 + 3
  terraform { dir = "a" }
}
