variable "programs" {
  description = "Folder with homeostat and the worker, an absolute path."
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

variable "initial_count" {
  description = "How many workers a first apply makes."
  type        = number
  default     = 1
}

variable "rate" {
  description = "Jobs a second that one worker does. It waits, so that many fit on a small machine."
  type        = number
  default     = 25
}

variable "start" {
  description = "Time that a worker takes to get ready, as programs do that load much."
  type        = string
  default     = "3s"
}
