service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  beat = "5s"
  beat = "6s"
}
