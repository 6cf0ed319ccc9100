# The fronts that clients come to.

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

module "fronts" {
  source = "../../../../modules/front"

  fronts        = "api"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = 2

  program     = "${var.programs}/homeostat"
  policy      = var.policy
  environment = var.environment
}

output "addresses" {
  description = "Where clients go."
  value       = module.fronts.addresses
}
