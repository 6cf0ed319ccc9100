bundle = "s3://bucket/x?endpoint=minio:9000"

service "a" {
  min    = 1
  max    = 2
  genome = "a.genome.hcl"
  terraform { dir = "a" }
}
