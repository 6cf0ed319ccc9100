variable "desired_count" {
  description = "How many cells; null for what the record says."
  type        = number
  default     = null
}

variable "cell_names" {
  description = "Which cells; null for what the record says."
  type        = list(string)
  default     = null
}

variable "initial_count" {
  description = "How many cells of a new service; given once, by -var."
  type        = number
  default     = null
}

variable "consul_address" {
  description = "Consul, host:port, as this machine and those of the pool reach it."
  type        = string
}

variable "secrets" {
  description = "The folder with peers.key and births.key, an absolute path."
  type        = string
}

variable "hosts" {
  description = "The pool: address and host keys of each machine."
  type        = list(object({ address = string, host_keys = list(string) }))
}

variable "user" {
  description = "Who gets in for births."
  type        = string
  default     = "root"
}

variable "sudo_rule" {
  description = "The file by which user may become root, where it isn't root."
  type        = string
  default     = null
}

variable "by_certificate" {
  description = "Whether births.key is a certificate authority's, and not one that gets in itself."
  type        = bool
  default     = true
}
