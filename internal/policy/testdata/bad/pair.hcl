service "api" {
  min  = 1
  max  = 4
  pair = "db"

  terraform { dir = "api" }
}

service "db" {
  min = 1
  max = 4

  terraform { dir = "db" }
}
