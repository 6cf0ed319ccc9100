service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  beat = "4m"
  law {
    first_look_back = "6m"
    correction_min  = 3
    weight_max      = 0.01
    trend_max       = "30s"
  }
}

service "b" {
  min = 1
  max = 1
  terraform { dir = "b" }
  law { look_backs = ["5m", "5m"] }
}

service "c" {
  min = 1
  max = 1
  terraform { dir = "c" }
  law { look_backs = [] }
}

service "d" {
  min = 1
  max = 1
  terraform { dir = "d" }
  law { correction_max = 1.2 }
}
