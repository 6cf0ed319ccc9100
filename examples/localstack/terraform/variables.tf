variable "network" {
  description = "The network of the instances; this host has its first address."
  type        = string
  default     = "10.77.0.0/24"
}

variable "consul_address" {
  description = "Consul, host:port, as it is reached from this host and from the instances."
  type        = string
  default     = "10.77.0.1:8500"
}

variable "aws_endpoint" {
  description = "LocalStack's URL."
  type        = string
  default     = "http://127.0.0.1:4566"
}

variable "machines" {
  description = "The folder of the program that boots the instances, where their consoles are; an absolute path."
  type        = string
}

variable "peers_key_file" {
  description = "The file with the key that the sidecars share; an absolute path."
  type        = string
}

variable "state_directory" {
  description = "Folder for what is known of each cell, an absolute path. Default: below the home directory."
  type        = string
  default     = null
}
