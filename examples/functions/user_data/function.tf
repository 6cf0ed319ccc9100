# With a homeostat_join and the data source homeostat_service; the resource
# homeostat_join shows it with the machine and the cell.
output "user_data" {
  value = provider::homeostat::user_data({
    format      = "shell"
    join        = homeostat_join.crawler
    published   = data.homeostat_service.crawler.published
    environment = { AWS_REGION = "eu-central-1" }
  })
  sensitive = true
}
