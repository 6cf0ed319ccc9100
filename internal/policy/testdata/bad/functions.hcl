service "a" {
  min = 1
  max = 3
  terraform { dir = "a" }
  lead = [for s in ["a"] : s]
  needs = env("NEEDS")
  members = "${"consul"}"
  beat = local.beat
  metrics { busy = "busy_${each.key}" }
}
