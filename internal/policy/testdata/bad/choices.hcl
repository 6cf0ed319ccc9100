service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  members = "nomad"
}

consul { scheme = "tcp" }
