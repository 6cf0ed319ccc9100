variable "service" {
  description = "The service, as the policy calls it."
  type        = string
}

variable "desired_count" {
  description = "How many cells there are to be; null for what the record says. Given alone, the cells there are stay and others are added, or the last of them leave."
  type        = number
  default     = null

  validation {
    condition     = var.desired_count == null ? true : var.desired_count >= 0 && floor(var.desired_count) == var.desired_count
    error_message = "desired_count must be a whole number, not below 0."
  }
}

variable "cell_names" {
  description = "Which cells there are to be; null for what the record says."
  type        = list(string)
  default     = null

  validation {
    condition     = var.cell_names == null ? true : length(distinct(var.cell_names)) == length(var.cell_names)
    error_message = "cell_names must not name a cell twice."
  }
}

variable "initial_count" {
  description = "How many cells there are to be where there is neither a record nor a cell. Give it once, for a new service, such as by -var: where Consul has lost its data it would count too, and remove cells. Null makes that an error."
  type        = number
  default     = null
}

variable "hosts" {
  description = "The pool: address (host or host:port) and host keys of each machine. A machine whose key isn't known is entered only with accept_new_host_key."
  type = list(object({
    address             = string
    host_keys           = optional(list(string))
    accept_new_host_key = optional(bool)
  }))

  validation {
    condition     = length(distinct([for host in var.hosts : host.address])) == length(var.hosts)
    error_message = "hosts must not name a machine twice."
  }
}

variable "machine_of" {
  description = "The address of each cell's own machine, by the cell's name, for cells that hold data: none is ever born on another, and one without a machine isn't born. Null for whichever is free."
  type        = map(string)
  default     = null

  validation {
    condition     = var.machine_of == null ? true : alltrue([for address in values(var.machine_of) : contains(var.hosts[*].address, address)])
    error_message = "machine_of names a machine that isn't in hosts."
  }

  validation {
    condition     = var.machine_of == null ? true : length(distinct(values(var.machine_of))) == length(var.machine_of)
    error_message = "machine_of gives two cells the same machine."
  }
}

variable "user" {
  description = "Who gets in for births. Another than root must be able to use sudo without a password."
  type        = string
  default     = "root"
}

variable "private_key" {
  description = "The private key to get in with, PEM; it stands in no plan and no state. A leader that acts by itself needs private_key_file or authority."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "private_key_file" {
  description = "The file with the private key to get in with, an absolute path."
  type        = string
  default     = null
}

variable "agent" {
  description = "Whether to get in with the one key of the SSH agent at SSH_AUTH_SOCK."
  type        = bool
  default     = false
}

variable "authority" {
  description = "A certificate authority: the file with its private key, whom certificates are for, and how long they are good (10m)."
  type = object({
    key_file   = string
    principals = optional(list(string))
    ttl        = optional(string)
  })
  default = null
}

variable "temporary_user" {
  description = "Whether user is there only for births, and goes with its home when the door is shut."
  type        = bool
  default     = false
}

variable "sudo_rule" {
  description = "The file in /etc/sudoers.d by which user may use sudo, removed when the door is shut."
  type        = string
  default     = null
}

variable "reuse" {
  description = "Whether a machine is used again once its cell has left: the cell then puts the public key or the authority back."
  type        = bool
  default     = true
}

variable "secrets" {
  description = "Files whose content the cells get in /etc/homeostat/secrets, by name. Their paths stand in the state, their content doesn't."
  type        = map(string)
  default     = null
}

variable "timeouts" {
  description = "How long a birth (create) and a removal (delete) may take, durations such as \"5m\"."
  type        = object({ create = optional(string), delete = optional(string) })
  default     = null
}
