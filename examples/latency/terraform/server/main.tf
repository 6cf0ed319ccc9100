# The cells of the latency example.

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

module "cells" {
  source = "../../../../modules/local-cells"

  service       = "server"
  desired_count = var.desired_count
  cell_names    = var.cell_names

  command     = ["${var.programs}/homeostat", "run", "-policy", var.policy, "--", "${var.programs}/server"]
  environment = var.environment
}

# The two variables that the sidecar writes (homeostat.auto.tfvars.json).

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

variable "programs" {
  description = "Folder with homeostat and the example's server, an absolute path."
  type        = string
}

variable "policy" {
  description = "The policy file, an absolute path."
  type        = string
}

variable "consul_address" {
  description = "Consul, host:port."
  type        = string
  default     = "127.0.0.1:8500"
}

variable "state_directory" {
  description = "Folder for what is known of each cell, an absolute path. Default: below the home directory."
  type        = string
  default     = null
}

variable "environment" {
  description = "Environment variables for the cells, beside those of the Terraform run."
  type        = map(string)
  default     = {}
}
