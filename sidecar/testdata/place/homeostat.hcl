consul {
  address = "127.0.0.1:1"
  prefix  = "script"
  timeout = "10s"
}

service "pod" {
  min     = 1
  max     = 5
  beat    = "100ms"
  members = "state"

  terraform {
    dir          = "pod"
    lock_timeout = "2s"
  }

  drain { timeout = "0s" }
}
