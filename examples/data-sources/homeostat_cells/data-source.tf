data "homeostat_cells" "api" {
  service = "api"
}

output "api_addresses" {
  value = [for c in data.homeostat_cells.api.cells : "${c.address}:${c.port}" if c.health == "passing"]
}
