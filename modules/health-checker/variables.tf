variable "service" {
  description = "The service that the servers are cells of, as the policy calls it."
  type        = string
  default     = "health-checker"

  validation {
    condition     = var.service != "consul"
    error_message = "service must not be \"consul\": Consul lists its own servers under that name."
  }
}

variable "desired_count" {
  description = "How many servers there are to be as cells, the first one not counted; null for what the record says."
  type        = number
  default     = null

  validation {
    condition     = var.desired_count == null ? true : var.desired_count >= 0 && floor(var.desired_count) == var.desired_count
    error_message = "desired_count must be a whole number, not below 0."
  }
}

variable "cell_names" {
  description = "Which servers there are to be; null for what the record says."
  type        = list(string)
  default     = null
}

variable "initial_count" {
  description = "How many servers there are to be as cells where there is neither a record nor a cell: 2 by default for processes. On machines it is given once, for a new service, and null is an error then."
  type        = number
  default     = null
}

variable "seeds" {
  description = "How many servers there are that are no cells of this module. They count in servers, majority and may_fail alone."
  type        = number
  default     = 1

  validation {
    condition     = var.seeds >= 1 && floor(var.seeds) == var.seeds
    error_message = "seeds must be a whole number, at least 1: the first server is begun by hand, and the others join it."
  }
}

variable "retry_join" {
  description = "Servers that exist, as consul agent -retry-join takes them; needed for processes. On machines the genome's environment says it: SERVER_JOIN."
  type        = list(string)
  default     = []

  validation {
    condition     = var.ssh != null || length(var.retry_join) > 0
    error_message = "retry_join must name a server that exists: these servers join a cluster and never begin one."
  }

  validation {
    condition     = alltrue([for server in var.retry_join : !strcontains(server, " ") && server != ""])
    error_message = "retry_join must hold one server in each place, without blanks."
  }
}

variable "data_directory" {
  description = "Folder in which each server has one of its own for its data, an absolute path; needed for processes. On machines the genome's environment says it: SERVER_DATA."
  type        = string
  default     = null

  validation {
    condition     = var.ssh != null || try(startswith(var.data_directory, "/"), false)
    error_message = "data_directory must be an absolute path: a server that dies is started again over its data."
  }
}

variable "consul" {
  description = "The program consul, for processes: a name on PATH, or a path."
  type        = string
  default     = "consul"
}

variable "config_file" {
  description = "A file of Consul's configuration, in HCL, an absolute path: the place for its secrets, such as encrypt and acl.tokens. Its path stands in the state, its content doesn't. Machines get it as the secret consul.hcl."
  type        = string
  default     = null

  validation {
    condition     = var.config_file == null ? true : startswith(var.config_file, "/")
    error_message = "config_file must be an absolute path."
  }
}

variable "first_port" {
  description = "The first port of server number 1, for processes: each has three, for HTTP, gossip and the other servers, one after the other."
  type        = number
  default     = 18500

  validation {
    condition     = var.first_port >= 1 && var.first_port <= 65000
    error_message = "first_port must lie between 1 and 65000."
  }
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
    error_message = "policy must be the absolute path of the policy file that the sidecars go by."
  }
}

variable "environment" {
  description = "Environment variables for servers that are processes, beside those of the Terraform run. They stand in the state."
  type        = map(string)
  default     = {}
}

variable "ssh" {
  description = "The machine of each server, by the cell's name, and how births get in, as the variables of ssh-cells; null for processes of this machine."
  type = object({
    machines = map(object({
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
    secrets        = optional(map(string), {})
  })
  default = null
}

variable "drain" {
  description = "How servers that are processes leave: timeout and grace, durations such as \"10s\"."
  type        = object({ timeout = optional(string), grace = optional(string) })
  default     = null
}

variable "timeouts" {
  description = "How long a birth (create) and a removal (delete) may take, durations such as \"90s\"."
  type        = object({ create = optional(string), delete = optional(string) })
  default     = null
}
