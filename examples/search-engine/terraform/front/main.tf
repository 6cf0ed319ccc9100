# The fronts: clients come to them, and they send each to an API that has room.

terraform {
  required_version = ">= 1.11"
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

module "fronts" {
  source = "../../../../modules/front"

  fronts        = "api"
  desired_count = var.desired_count
  cell_names    = var.cell_names

  program     = "${var.programs}/homeostat"
  policy      = var.policy
  port        = var.port
  environment = merge(var.environment, { CONSUL_HTTP_ADDR = var.consul_address })
}
