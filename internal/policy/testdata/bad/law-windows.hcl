service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  law {
    look_backs      = ["1h", "6h"]
    first_look_back = "1h"
    trend_max       = "6h"
    effect_retry    = "24h" # only counted, and may be as long as it likes
  }
}

service "b" {
  min = 1
  max = 1
  beat = "500ms"
  terraform { dir = "b" }
  law { release_idle = "31m" }
}
