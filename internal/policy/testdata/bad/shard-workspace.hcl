service "a" {
  min = 1
  max = 3

  terraform {
    dir       = "a"
    workspace = "prod-shard-2"
  }
}
