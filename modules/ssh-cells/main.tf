# Cells of one service on the machines of a pool, one for each name.
#
# Homeostat writes desired_count and cell_names, and the names alone decide. An
# apply by a person who has neither reads the record in Consul instead, so it
# changes no count; a Consul that can't be reached is then an error, never the
# default. Where there is neither a record nor a cell, initial_count counts, and
# without it that is an error: Consul may have lost its data, and the cells may not
# be registered again yet.

terraform {
  required_version = ">= 1.11" # the private key is write-only
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

data "homeostat_service" "record" {
  count     = var.cell_names == null ? 1 : 0
  service   = var.service
  workspace = terraform.workspace # where the cells are spread, only those of this one
}

data "homeostat_cells" "live" {
  count   = var.cell_names == null ? 1 : 0
  service = var.service

  lifecycle {
    postcondition {
      condition     = var.initial_count != null || local.record.exists || length(self.cells) > 0
      error_message = "Consul knows neither a record nor a cell of ${var.service}. If the service is new, give initial_count, once. If it isn't, Consul has lost its data: wait until its cells are registered again, and apply then; with initial_count this apply would remove them."
    }
  }
}

locals {
  record = one(data.homeostat_service.record)

  # A record that was lost is no reason to remove the cells that live.
  live  = try([for cell in one(data.homeostat_cells.live).cells : cell.name], [])
  known = local.record == null ? [] : local.record.names != null ? local.record.names : sort(local.live)
  count = var.cell_names != null ? length(var.cell_names) : coalesce(
    var.desired_count,
    try(local.record.desired_count, null),
    length(local.known) > 0 ? length(local.known) : var.initial_count,
  )

  # A count alone keeps the cells there are and adds to them, under names that
  # nobody has had.
  first = coalesce(try(local.record.next, null), 1)
  fresh = [
    for n in range(local.first, local.first + local.count + length(local.known)) : "${var.service}-${n}"
    if !contains(local.known, "${var.service}-${n}")
  ]
  names = var.cell_names != null ? var.cell_names : slice(concat(local.known, local.fresh), 0, local.count)

  # A map, since Terraform looks through the whole for each instance: a set of a
  # hundred takes it twice as long.
  cells = { for name in local.names : name => name }

  # A cell with a machine of its own is born there and nowhere else. That one has
  # none is said by its birth and not by the plan: a leader plans one cell more than
  # there are to learn what an order changes.
  pools = {
    for name in local.names : name => var.machine_of == null ? var.hosts : concat(
      [for host in var.hosts : host if host.address == lookup(var.machine_of, name, "")],
      contains(keys(var.machine_of), name) ? [] : [
        { address = "${name}-has-no-machine-in-machine-of.invalid", host_keys = null, accept_new_host_key = null }
      ],
    )
  }
}

resource "homeostat_cell" "cell" {
  for_each = local.cells

  service = var.service
  name    = each.key
  ssh = {
    hosts            = local.pools[each.key]
    user             = var.user
    private_key      = var.private_key
    private_key_file = var.private_key_file
    agent            = var.agent ? true : null
    authority        = var.authority
    temporary_user   = var.temporary_user
    sudo_rule        = var.sudo_rule
    reuse            = var.reuse
    secrets          = var.secrets
  }
  timeouts = var.timeouts

  lifecycle {
    # The pool grows and keys change: that is no difference for a cell that lives.
    ignore_changes = [ssh]

    precondition {
      condition     = var.cell_names == null || var.desired_count == null || try(length(var.cell_names), 0) == var.desired_count
      error_message = "desired_count and cell_names disagree on how many cells of ${var.service} there are to be. Homeostat writes both; give both, or the count alone with cell_names = null."
    }
  }
}
