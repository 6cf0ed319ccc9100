service "API" {
  min = 1
  max = 1
  terraform { dir = "0" }
}

service "a_b" {
  min = 1
  max = 1
  terraform { dir = "1" }
}

service "-a" {
  min = 1
  max = 1
  terraform { dir = "2" }
}

service "a-" {
  min = 1
  max = 1
  terraform { dir = "3" }
}

service "" {
  min = 1
  max = 1
  terraform { dir = "4" }
}

service "9a" {
  min = 1
  max = 1
  terraform { dir = "5" }
}

service "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
  min = 1
  max = 1
  terraform { dir = "6" }
}
