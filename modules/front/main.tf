# Fronts of a service, as cells of a service of their own: processes of this machine
# or, with ssh, machines of a pool. Which cells there are is decided by the modules
# below.

terraform {
  required_version = ">= 1.11" # as ssh-cells
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

locals {
  on_machines = var.ssh != null

  # The front goes by the same policy as its sidecar.
  command = local.on_machines ? [] : concat(
    [var.program, "run", "-policy", var.policy],
    var.port == null ? [] : ["-port", tostring(var.port)],
    ["--", var.program, "front", "-policy", var.policy, "-service", var.fronts],
  )

  fronts = concat(module.processes, module.machines)
}

module "processes" {
  count  = local.on_machines ? 0 : 1
  source = "../local-cells"

  service       = var.service
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = coalesce(var.initial_count, 1)

  command     = local.command
  environment = var.environment
  drain       = var.drain
  timeouts    = var.timeouts
}

# What machines are made into is said by the genome that was published.
module "machines" {
  count  = local.on_machines ? 1 : 0
  source = "../ssh-cells"

  service       = var.service
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = var.initial_count

  hosts            = var.ssh.hosts
  user             = var.ssh.user
  private_key_file = var.ssh.private_key_file
  agent            = var.ssh.agent
  authority        = var.ssh.authority
  temporary_user   = var.ssh.temporary_user
  sudo_rule        = var.ssh.sudo_rule
  reuse            = var.ssh.reuse
  secrets          = var.ssh.secrets
  timeouts         = var.timeouts
}
