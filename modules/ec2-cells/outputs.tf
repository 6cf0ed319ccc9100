output "names" {
  description = "The names of the cells."
  value       = [for name in local.names : name]
}

output "cells" {
  description = "Instance, address, port and incarnation of each cell, by name."
  value = {
    for name, cell in homeostat_cell.cell : name => {
      instance    = cell.host
      address     = cell.address
      port        = cell.port
      incarnation = cell.incarnation
    }
  }
}
