service "db" {
  min        = 1
  max        = 1
  holds_data = true

  terraform { dir = "db" }

  postgres {
    host          = "10.0.0.1:5432"
    user          = ""
    password_env  = "PG-PASSWORD"
    password_file = "secret"
    sslmode       = "maybe"
    password      = "hunter2"
  }
}
