service "api" {
  min = 1
  max = 2
  terraform { dir = "api" }
  latency { upper = "200ms" }
  proxy {
    listen   = "0.0.0.0:80"
    redirect = "301"
    trusted  = ["10.0.0.1"]
    crawlers {
      header       = "Host"
      paths        = ["pages"]
      certificates = ["crawler.example"]
    }
    concurrency {
      initial = 1
      max     = 0
    }
    wait {
      max      = "10ms"
      standing = "20ms"
    }
    tls { cert_file = "a.pem" }
  }
}

service "web" {
  min = 1
  max = 2
  terraform { dir = "web" }
  latency { upper = "200ms" }
}
