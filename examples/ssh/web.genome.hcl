# What a machine is made into: the sidecar, the application, and how they find what
# the birth brought them.

command     = ["/usr/local/bin/web"]
user        = "www-data"
environment = { HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key" }

file "/usr/local/bin/homeostat" {
  source = "bin/homeostat"
  mode   = "0755"
}

file "/usr/local/bin/web" {
  source = "bin/web"
  mode   = "0755"
}
