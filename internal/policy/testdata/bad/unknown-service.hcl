service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  needs = ["db", "a"]
  lead  = ["crawlr", "a", "a"]
}

service "crawler" {
  min = 1
  max = 1
  terraform { dir = "crawler" }
}
