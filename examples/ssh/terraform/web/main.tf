# The cells of the service web. Homeostat writes desired_count and cell_names.

terraform {
  required_version = ">= 1.11"
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

provider "homeostat" {
  consul         = { address = var.consul_address }
  peers_key_file = "${var.secrets}/peers.key"
}

module "cells" {
  source = "../../../../modules/ssh-cells"

  service       = "web"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = var.initial_count

  hosts            = var.hosts
  user             = var.user
  sudo_rule        = var.sudo_rule
  private_key_file = var.by_certificate ? null : "${var.secrets}/births.key"
  authority        = var.by_certificate ? { key_file = "${var.secrets}/births.key" } : null
  reuse            = true
  secrets          = { "peers-key" = "${var.secrets}/peers.key" }
  timeouts         = { create = "5m", delete = "2m" }
}

output "cells" {
  description = "Where each cell is, and when its machine was shut."
  value       = module.cells.cells
}
