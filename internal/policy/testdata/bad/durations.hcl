service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  beat = 30
  drain { timeout = "30" }
  birth { time = "1 minute" }
  replace {
    after     = "1d"
    mass_hold = "-5s"
  }
}
