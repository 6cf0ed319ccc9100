bundle = "ftp://bundles.example.com"

service "a" {
  min    = 1
  max    = 2
  genome = "a.genome.hcl"
  terraform { dir = "a" }
}
