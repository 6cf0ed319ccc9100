# Cells of one service on instances of EC2, one for each name.
#
# Homeostat writes desired_count and cell_names, and the names alone decide. An
# apply by a person who has neither reads the record in Consul instead, so it
# changes no count; a Consul that can't be reached is then an error, never the
# default. Where there is neither a record nor a cell, initial_count counts, and
# without it that is an error: Consul may have lost its data, and the cells may not
# be registered again yet.

terraform {
  required_version = ">= 1.8" # functions of providers
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
    aws       = { source = "hashicorp/aws", version = "~> 5.0" }
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
  known = try(local.record.names, null) != null ? local.record.names : sort(local.live)
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

  # Cells are spread over the subnets by the numbers in their names.
  subnets = {
    for name in local.names : name => length(var.subnet_ids) == 0 ? null : element(var.subnet_ids, try(tonumber(regex("[0-9]+$", name)), 0))
  }
}

resource "homeostat_join" "join" {
  for_each = local.cells

  service          = var.service
  name             = each.key
  lifetime         = var.timeouts.create
  consul_addresses = var.consul_addresses
}

resource "aws_instance" "machine" {
  for_each = local.cells

  ami                                  = var.ami
  instance_type                        = var.instance_type
  vpc_security_group_ids               = var.security_group_ids
  subnet_id                            = local.subnets[each.key]
  iam_instance_profile                 = var.instance_profile
  instance_initiated_shutdown_behavior = "terminate"
  user_data = provider::homeostat::user_data({
    format      = var.user_data_format
    join        = homeostat_join.join[each.key]
    environment = var.environment
  })

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  dynamic "launch_template" {
    for_each = var.launch_template == null ? [] : [var.launch_template]
    content {
      id      = launch_template.value.id
      version = launch_template.value.version
    }
  }

  tags = merge(var.tags, {
    Name                    = each.key
    "homeostat:service"     = var.service
    "homeostat:cell"        = each.key
    "homeostat:incarnation" = homeostat_join.join[each.key].incarnation
  })

  lifecycle {
    # What a cell is born with is no difference for one that lives.
    ignore_changes = [
      ami, instance_type, launch_template, vpc_security_group_ids, subnet_id, iam_instance_profile,
      user_data, metadata_options, tags, tags_all,
    ]
    # Another ticket is another machine: user data is read only once.
    replace_triggered_by = [homeostat_join.join[each.key].id]

    precondition {
      condition     = var.launch_template != null || var.ami != null && var.instance_type != null
      error_message = "Give ami and instance_type, or a launch_template that has both."
    }
  }
}

resource "homeostat_cell" "cell" {
  for_each = local.cells

  service = var.service
  name    = each.key
  boot = {
    join    = homeostat_join.join[each.key]
    machine = aws_instance.machine[each.key].id
    secrets = var.secrets
    console = var.console == null ? null : [for word in var.console : replace(word, "INSTANCE", aws_instance.machine[each.key].id)]
  }
  timeouts = var.timeouts

  lifecycle {
    ignore_changes       = [boot.secrets, boot.console]
    replace_triggered_by = [homeostat_join.join[each.key].id]

    precondition {
      condition     = var.cell_names == null || var.desired_count == null || try(length(var.cell_names), 0) == var.desired_count
      error_message = "desired_count and cell_names disagree on how many cells of ${var.service} there are to be. Homeostat writes both; give both, or the count alone with cell_names = null."
    }
  }
}
