# The web servers that clients want.

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

module "cells" {
  source = "../../../../modules/local-cells"

  service       = "api"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = 2

  command     = ["${var.programs}/homeostat", "run", "-policy", var.policy, "--", "${var.programs}/web"]
  environment = var.environment
}
