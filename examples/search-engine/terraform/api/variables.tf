variable "programs" {
  description = "Folder with homeostat and the example's programs, an absolute path."
  type        = string
}

variable "policy" {
  description = "The policy file, an absolute path."
  type        = string
}

variable "address" {
  description = "The address of this host at which others reach the cells."
  type        = string
  default     = "127.0.0.1"
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

variable "brokers" {
  description = "Kafka brokers, host:port, separated by commas."
  type        = string
  default     = "127.0.0.1:9092"
}

variable "partitions" {
  description = "Partitions of the topic for URLs, if it is to be made: the most crawlers that can work."
  type        = number
  default     = 24
}

variable "workers" {
  description = "Searches that one API works on at once."
  type        = number
  default     = 16
}

variable "search_cost" {
  description = "Time that a search takes beside the real work: raise it to feel load on a small machine."
  type        = string
  default     = "0s"
}
