# Homeostat writes desired_count and cell_names; where they are null, the record in
# Consul is asked.

variable "desired_count" {
  description = "How many cells there are to be. Written by Homeostat."
  type        = number
  default     = null
}

variable "cell_names" {
  description = "Which cells there are to be. Written by Homeostat."
  type        = list(string)
  default     = null
}

variable "programs" {
  description = "Folder with homeostat and web, an absolute path."
  type        = string
}

variable "policy" {
  description = "The policy file, an absolute path."
  type        = string
}

variable "consul_addresses" {
  description = "The Consul servers, each host:port, as in the policy."
  type        = list(string)
  default     = ["127.0.0.1:8500", "127.0.0.1:18500", "127.0.0.1:18503"]
}

variable "state_directory" {
  description = "Folder for what is known of each cell, an absolute path. Default: below the home directory."
  type        = string
  default     = null
}

variable "environment" {
  description = "Environment variables for the cells, beside those of the Terraform run."
  type        = map(string)
  default     = {}
}
