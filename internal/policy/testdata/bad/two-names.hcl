service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

service "a" {
  min = 1
  max = 3
  terraform { dir = "b" }
}
