service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  maximum_cells = 4
  bet = "5s"
}
