# With a homeostat_join; the resource of that name
# shows it with the machine and the cell.
output "user_data" {
  value = provider::homeostat::user_data({
    format      = "shell"
    join        = homeostat_join.crawler
    environment = { AWS_REGION = "eu-central-1" }
  })
  sensitive = true
}
