service "api" {
  min = 1
  max = 3
  terraform { dir = "api" }
  spool { topics = ["urls"] }
}
