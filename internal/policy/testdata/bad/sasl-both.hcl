service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
}

kafka {
  brokers = ["127.0.0.1:9092"]
  sasl {
    mechanism     = "gssapi"
    username      = "homeostat"
    password_env  = "KAFKA PASSWORD"
    password_file = "password"
  }
}
