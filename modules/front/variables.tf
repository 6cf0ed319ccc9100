variable "service" {
  description = "The service that the fronts are cells of, as the policy calls it."
  type        = string
  default     = "front"
}

variable "fronts" {
  description = "The service whose cells get the clients, as the policy calls it; needed for processes. On machines the genome's command says it."
  type        = string
  default     = null

  validation {
    condition     = var.ssh != null || var.fronts != null
    error_message = "fronts must name the service whose cells get the clients."
  }

  validation {
    condition     = var.fronts == null || var.fronts != var.service
    error_message = "fronts and service are the same: a front is a cell of a service of its own."
  }
}

variable "desired_count" {
  description = "How many fronts there are to be; null for what the record says."
  type        = number
  default     = null

  validation {
    condition     = var.desired_count == null ? true : var.desired_count >= 0 && floor(var.desired_count) == var.desired_count
    error_message = "desired_count must be a whole number, not below 0."
  }
}

variable "cell_names" {
  description = "Which fronts there are to be; null for what the record says."
  type        = list(string)
  default     = null
}

variable "initial_count" {
  description = "How many fronts there are to be where there is neither a record nor a cell: 1 by default for processes. On machines it is given once, for a new service, and null is an error then."
  type        = number
  default     = null
}

variable "program" {
  description = "The program homeostat, an absolute path, for processes."
  type        = string
  default     = "/usr/local/bin/homeostat"
}

variable "policy" {
  description = "The policy file, an absolute path; needed for processes."
  type        = string
  default     = null

  validation {
    condition     = var.ssh != null || try(startswith(var.policy, "/"), false)
    error_message = "policy must be the absolute path of the policy file that sidecar and front go by."
  }
}

variable "port" {
  description = "Where a front that is a process listens, which leaves room for one front on a machine; null for a free port. On machines the genome's environment says it: HOMEOSTAT_PORT."
  type        = number
  default     = null

  validation {
    condition     = var.port == null ? true : var.port >= 1 && var.port <= 65535
    error_message = "port must lie between 1 and 65535; leave it out for a free one."
  }

  validation {
    condition     = var.port == null || var.ssh == null
    error_message = "port is for processes: on machines write HOMEOSTAT_PORT into the genome's environment."
  }
}

variable "environment" {
  description = "Environment variables for fronts that are processes, beside those of the Terraform run. They stand in the state."
  type        = map(string)
  default     = {}
}

variable "ssh" {
  description = "The machines on which the fronts are cells, and how births get in, as the variables of ssh-cells; null for processes of this machine."
  type = object({
    hosts = list(object({
      address             = string
      host_keys           = optional(list(string))
      accept_new_host_key = optional(bool)
    }))
    user             = optional(string, "root")
    private_key_file = optional(string)
    agent            = optional(bool, false)
    authority = optional(object({
      key_file   = string
      principals = optional(list(string))
      ttl        = optional(string)
    }))
    temporary_user = optional(bool, false)
    sudo_rule      = optional(string)
    reuse          = optional(bool, true)
    secrets        = optional(map(string))
  })
  default = null
}

variable "drain" {
  description = "How fronts that are processes leave: timeout and grace, durations such as \"10s\"."
  type        = object({ timeout = optional(string), grace = optional(string) })
  default     = null
}

variable "timeouts" {
  description = "How long a birth (create) and a removal (delete) may take, durations such as \"90s\"."
  type        = object({ create = optional(string), delete = optional(string) })
  default     = null
}
