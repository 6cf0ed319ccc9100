# What a machine becomes when it becomes a crawler.
#
# The addresses are those of this host in the machines' network.

command = [
  "/opt/search-engine/crawler",
  "-brokers", "10.77.0.1:9092",
  "-scope", "http://10.77.0.1:8080/",
  # Slow on purpose, so that two cores feel the load of many crawlers: one crawls
  # two pages a second.
  "-workers", "1",
  "-page-cost", "500ms",
]

environment = {
  CONSUL_HTTP_ADDR         = "10.77.0.1:8500"
  HOMEOSTAT_PEERS_KEY_FILE = "/etc/homeostat/secrets/peers-key"
}

directory "/opt/search-engine" { mode = "0755" }

file "/usr/local/bin/homeostat" {
  source = "../../bin/homeostat"
  mode   = "0755"
}

file "/opt/search-engine/crawler" {
  source = "../../bin/crawler"
  mode   = "0755"
}
