service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

service "b" {
  min = 1
  max = 3
  terraform { dir = "./a/" }
}
