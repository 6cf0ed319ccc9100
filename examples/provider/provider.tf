terraform {
  required_providers {
    homeostat = {
      source = "homeostat-io/homeostat"
    }
  }
}

# The token comes from CONSUL_HTTP_TOKEN, so that it stands in no file here.
provider "homeostat" {
  consul = {
    addresses = ["127.0.0.1:8500", "consul-2.example.com:8500"]
  }
  state_directory = "/var/lib/homeostat/cells"
}
