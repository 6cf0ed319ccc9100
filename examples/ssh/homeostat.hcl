# Web servers on a pool of machines that are entered over SSH, once each.

bundle = "bundles" # a folder here; https or S3 where cells lead too

consul { address = "127.0.0.1:8500" } # as the machines reach it, too

# Cells listen for each other off loopback, so they share a key.
peers { key_file = "secrets/peers.key" }

service "web" {
  genome = "web.genome.hcl"

  # No signal of load is named, so there are min cells, or as many as are pinned.
  min = 1
  max = 4

  terraform { dir = "terraform/web" }

  health {
    http  = "/health"
    grace = "30s"
  }

  drain {
    path    = "/drain"
    timeout = "10s"
  }
}
