service "a" {
  min = 2
  max = 10
  terraform { dir = "a" }

  schedule "too few fields" {
    cron = "0 8 * *"
    for  = "1h"
    min  = 3
  }

  schedule "minute" {
    cron = "60 8 * * *"
    end  = "0 6 30 2 *"
    min  = 3
  }

  schedule "minute" {
    cron      = "0 8 * * *"
    for       = "30s"
    time_zone = "Europe/Berlim"
    min       = 3
  }

  schedule "ends" {
    cron = "0 8 * * *"
    for  = "8h"
    end  = "0 18 * * *"
    min  = 11
  }

  schedule "empty" {
    cron = "0 8 * * *"
  }

  schedule "low" {
    cron = "0 8 * * *"
    for  = "1h"
    max  = 1
  }

  schedule {
    cron = "@daily"
  }
}

service "b" {
  min        = 1
  max        = 1
  holds_data = true
  terraform { dir = "b" }

  schedule "more" {
    cron = "0 8 * * *"
    for  = "8h"
    min  = 2
    max  = 2
  }
}
