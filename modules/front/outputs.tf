output "names" {
  description = "The names of the cells."
  value       = one(local.fronts[*].names)
}

output "cells" {
  description = "Address, port and incarnation of each front, by the cell's name; on machines also host and sealed_at."
  value       = one(local.fronts[*].cells)
}

output "addresses" {
  description = "Where clients reach the fronts, each a base URL."
  value       = [for cell in values(one(local.fronts[*].cells)) : "http://${cell.address}:${cell.port}"]
}
