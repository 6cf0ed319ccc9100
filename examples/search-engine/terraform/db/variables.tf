variable "programs" {
  description = "Folder with homeostat and the example's programs, an absolute path."
  type        = string
}

variable "policy" {
  description = "The policy file, an absolute path."
  type        = string
}

variable "consul_address" {
  description = "Consul, host:port."
  type        = string
  default     = "127.0.0.1:8500"
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

variable "data_directory" {
  description = "Folder in which each database cell has one for its data, an absolute path. PostgreSQL doesn't run as root: others must be able to enter it."
  type        = string
}

variable "initial_count" {
  description = "How many databases to begin with, where there is no record yet: the policy's min."
  type        = number
  default     = 2
}
