output "names" {
  description = "The names of the cells."
  value       = one(local.cells[*].names)
}

output "cells" {
  description = "Address, port and incarnation of each server, by the cell's name; on machines also host and sealed_at."
  value       = one(local.cells[*].cells)
}

output "addresses" {
  description = "Where the servers that are cells are asked, each host:port, for consul.addresses of the policy."
  value       = [for cell in values(one(local.cells[*].cells)) : "${cell.address}:${cell.port}"]
}

output "servers" {
  description = "How many servers there are, those included that were there before."
  value       = local.servers
}

output "majority" {
  description = "How many of them have to live for Consul to take a write."
  value       = floor(local.servers / 2) + 1
}

output "may_fail" {
  description = "How many of them may be dead at a time."
  value       = local.servers - floor(local.servers / 2) - 1
}
