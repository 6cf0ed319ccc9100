output "names" {
  description = "The names of the cells."
  value       = [for name in local.names : name]
}

output "cells" {
  description = "Machine, address, port and incarnation of each cell, by name, and when its door was shut."
  value = {
    for name, cell in homeostat_cell.cell : name => {
      host        = cell.host
      address     = cell.address
      port        = cell.port
      incarnation = cell.incarnation
      sealed_at   = cell.sealed_at
    }
  }
}
