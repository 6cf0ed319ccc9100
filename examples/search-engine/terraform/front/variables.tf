variable "programs" {
  description = "Folder with homeostat, an absolute path."
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

variable "port" {
  description = "Where clients find the front: one of this machine, since a port has room for one."
  type        = number
  default     = 8080
}
