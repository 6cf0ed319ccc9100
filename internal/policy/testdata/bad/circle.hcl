service "front" {
  min   = 1
  max   = 1
  needs = ["api"]
  terraform { dir = "front" }
}

service "api" {
  min   = 1
  max   = 1
  needs = ["db"]
  terraform { dir = "api" }
}

service "db" {
  min   = 1
  max   = 1
  needs = ["disk"]
  terraform { dir = "db" }
}

service "disk" {
  min   = 1
  max   = 1
  needs = ["api"]
  terraform { dir = "disk" }
}
