service "a" {
  min = 1
  max = 1
  terraform {
    dir               = "a"
    on_foreign_change = "ignore"
  }
}
