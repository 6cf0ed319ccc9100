service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

consul {
  ca_file   = "ca.pem"
  cert_file = "cert.pem"
}

kafka {
  brokers = ["https://kafka:9092"]
  tls { key_file = "key.pem" }
}
