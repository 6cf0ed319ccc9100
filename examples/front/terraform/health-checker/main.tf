# The Consul servers that join the first one.

terraform {
  required_version = ">= 1.11"
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

provider "homeostat" {
  consul          = { addresses = var.consul_addresses }
  state_directory = var.state_directory
}

module "servers" {
  source = "../../../../modules/health-checker"

  desired_count = var.desired_count
  cell_names    = var.cell_names
  retry_join    = [var.first_server]

  program        = "${var.programs}/homeostat"
  consul         = var.consul
  policy         = var.policy
  config_file    = var.config_file
  data_directory = var.data_directory
  first_port     = var.first_port
  environment    = var.environment
}

output "addresses" {
  description = "Where the servers that are cells are asked."
  value       = module.servers.addresses
}

output "majority" {
  description = "How many servers there are, how many have to live, and how many may fail."
  value       = "${module.servers.majority} of ${module.servers.servers} servers have to live, ${module.servers.may_fail} may fail"
}
