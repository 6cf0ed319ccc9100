data "homeostat_service" "crawler" {
  service = "crawler"
}

# Where nobody gives a count, the record says how many cells there are to be.
locals {
  crawlers = data.homeostat_service.crawler.exists ? data.homeostat_service.crawler.desired_count : 1
}
