# The worker cells, as processes of this machine.

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
  source = "../../../modules/local-cells"

  service       = "worker"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = var.initial_count

  command = [
    "${var.programs}/homeostat", "run", "-policy", var.policy, "--",
    "${var.programs}/worker", "-brokers", var.brokers, "-rate", tostring(var.rate), "-start", var.start,
  ]
  environment = merge(var.environment, { CONSUL_HTTP_ADDR = var.consul_address })
}
