service {
  min = 1
}

consul "main" {}
