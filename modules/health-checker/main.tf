# Consul servers as cells of a service that holds data: processes of this machine or,
# with ssh, machines. The first server is not among them: it exists before there is a
# Consul in which a cell could register, and these join it.

terraform {
  required_version = ">= 1.11" # as ssh-cells
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

locals {
  on_machines = var.ssh != null
  script      = abspath("${path.module}/server.sh")

  environment = local.on_machines ? {} : merge(var.environment, {
    SERVER        = local.script
    SERVER_JOIN   = join(" ", var.retry_join)
    SERVER_PORT   = tostring(var.first_port)
    SERVER_CONSUL = var.consul
  }, var.config_file == null ? {} : { SERVER_CONFIG = var.config_file })

  cells   = concat(module.processes, module.machines)
  servers = var.seeds + length(one(local.cells[*].names))
}

module "processes" {
  count  = local.on_machines ? 0 : 1
  source = "../local-cells"

  service       = var.service
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = coalesce(var.initial_count, 2)

  command        = local.on_machines ? [] : ["sh", local.script, "sidecar", var.program, "run", "-policy", var.policy]
  environment    = local.environment
  data_directory = var.data_directory
  drain          = var.drain
  timeouts       = var.timeouts
}

# What machines are made into is said by the genome that was published.
module "machines" {
  count  = local.on_machines ? 1 : 0
  source = "../ssh-cells"

  service       = var.service
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = var.initial_count

  # A server comes back where its data are.
  hosts      = values(var.ssh.machines)
  machine_of = { for cell, machine in var.ssh.machines : cell => machine.address }

  user             = var.ssh.user
  private_key_file = var.ssh.private_key_file
  agent            = var.ssh.agent
  authority        = var.ssh.authority
  temporary_user   = var.ssh.temporary_user
  sudo_rule        = var.ssh.sudo_rule
  reuse            = true
  secrets          = merge(var.ssh.secrets, var.config_file == null ? {} : { "consul.hcl" = var.config_file })
  timeouts         = var.timeouts
}
