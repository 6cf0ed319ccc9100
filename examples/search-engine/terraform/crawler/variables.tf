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

variable "brokers" {
  description = "Kafka brokers, host:port, separated by commas."
  type        = string
  default     = "127.0.0.1:9092"
}

variable "scope" {
  description = "Only addresses that begin with this one are crawled."
  type        = string
}

variable "workers" {
  description = "Pages that one crawler works on at once."
  type        = number
  default     = 4
}

variable "rate" {
  description = "Requests a second that one crawler makes to one host."
  type        = number
  default     = 50
}

variable "page_cost" {
  description = "Time that analysing a page takes beside the real work: raise it to feel load on a small machine."
  type        = string
  default     = "50ms"
}
