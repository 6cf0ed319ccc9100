variable "initial_count" {
  type        = number
  default     = null
  description = "How many crawlers a new service begins with; given once."
}

data "homeostat_service" "crawler" {
  service   = "crawler"
  workspace = terraform.workspace

  # A record that is gone, because Consul has lost its data, is no reason to remove the
  # cells that live: a count is never guessed.
  lifecycle {
    postcondition {
      condition     = self.exists || var.initial_count != null
      error_message = "Consul has no record of crawler. If the service is new, give initial_count, once."
    }
  }
}

# Where nobody gives a count, the record says how many cells there are to be.
locals {
  crawlers = coalesce(data.homeostat_service.crawler.desired_count, var.initial_count)
}
