service "a" {
  min = 1
  max = 
  terraform { dir = "a" 
}
