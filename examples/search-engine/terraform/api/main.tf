# The API cells: they store pages, queue what is found in them, and search. Each is paired
# with a database.

terraform {
  required_version = ">= 1.8"
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

provider "homeostat" {
  consul          = { address = var.consul_address }
  state_directory = var.state_directory
}

# The two variables that the sidecar writes (homeostat.auto.tfvars.json). Where
# they are null, the record in Consul is asked, so an apply by hand changes
# nothing.

variable "desired_count" {
  description = "How many cells there are to be. Written by Homeostat."
  type        = number
  default     = null
}

variable "cell_names" {
  description = "Which cells there are to be. Written by Homeostat."
  type        = list(string)
  default     = null
}

module "cells" {
  source = "../../../../modules/local-cells"

  service       = "api"
  desired_count = var.desired_count
  cell_names    = var.cell_names

  command = [
    "${var.programs}/homeostat", "run", "-policy", var.policy, "-address", var.address, "--",
    "${var.programs}/api", "-brokers", var.brokers, "-partitions", tostring(var.partitions),
    "-workers", tostring(var.workers), "-search-cost", var.search_cost,
  ]
  environment = merge(var.environment, { CONSUL_HTTP_ADDR = var.consul_address })
}
