service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  drain {}
  drain { path = "/drain" }
}

consul {
  address   = "a:8500"
  addresses = ["b:8500"]
}
