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
  description = "How many cells there are to be where there is neither a record nor a cell."
  type        = number
  default     = 1
}

variable "command" {
  description = "The cell's first process, which is to be the sidecar: homeostat run -- application."
  type        = list(string)
}

variable "environment" {
  description = "Environment variables for the cells, beside those of the Terraform run. They stand in the state."
  type        = map(string)
  default     = {}
}

variable "directory" {
  description = "Where the command starts, an absolute path; null for a folder that goes with the cell."
  type        = string
  default     = null
}

variable "data_directory" {
  description = "Folder in which each cell has one of its own for data that outlive it, an absolute path; null for cells without data."
  type        = string
  default     = null
}

variable "delete_data" {
  description = "Whether a cell's data are deleted with it."
  type        = bool
  default     = false
}

variable "drain" {
  description = "How cells leave: timeout and grace, durations such as \"10s\"."
  type        = object({ timeout = optional(string), grace = optional(string) })
  default     = null
}

variable "timeouts" {
  description = "How long a birth (create) and a removal (delete) may take, durations such as \"90s\"."
  type        = object({ create = optional(string), delete = optional(string) })
  default     = null
}
