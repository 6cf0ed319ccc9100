# Cells of one service as processes of this machine, one for each name.
#
# Homeostat writes desired_count and cell_names, and the names alone decide. An
# apply by a person who has neither reads the record in Consul instead, so it
# changes no count; a Consul that can't be reached is then an error, never the
# default. Only where there is neither a record nor a cell does initial_count
# count.

terraform {
  required_version = ">= 1.8"
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
  }
}

data "homeostat_service" "record" {
  count     = var.cell_names == null ? 1 : 0
  service   = var.service
  workspace = terraform.workspace # where the cells are spread, only those of this one
}

locals {
  record = one(data.homeostat_service.record)

  # A record that was lost is no reason to remove the cells of this machine.
  known = local.record == null ? [] : local.record.names != null ? local.record.names : local.record.local_names
  count = coalesce(
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
}

resource "homeostat_cell" "cell" {
  for_each = local.cells

  service = var.service
  name    = each.key
  process = {
    command     = var.command
    environment = var.environment
    directory   = var.directory
  }
  data_directory = var.data_directory == null ? null : "${var.data_directory}/${each.key}"
  delete_data    = var.delete_data
  drain          = var.drain
  timeouts       = var.timeouts

  lifecycle {
    # What a cell was born with is no difference afterwards: Homeostat renews
    # cells one by one.
    ignore_changes = [process]

    precondition {
      condition     = var.cell_names == null || var.desired_count == null || try(length(var.cell_names), 0) == var.desired_count
      error_message = "desired_count and cell_names disagree on how many cells of ${var.service} there are to be. Homeostat writes both; give both, or the count alone with cell_names = null."
    }
  }
}
