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

variable "ami" {
  description = "The image: one with cloud-init, or any that runs user data as a script where user_data_format is \"shell\", with coreutils and one of curl, wget and python3. Null where launch_template has it."
  type        = string
  default     = null
}

variable "instance_type" {
  description = "The instances' type; null where launch_template has it."
  type        = string
  default     = null
}

variable "launch_template" {
  description = "A launch template to begin with. What is given here beside it counts, user data and metadata options always."
  type        = object({ id = string, version = optional(string, "$Default") })
  default     = null
}

variable "security_group_ids" {
  description = "The instances' security groups: cells must reach Consul, the store of bundles and each other's sidecars. Null for the subnet's default, or what launch_template has."
  type        = list(string)
  default     = null
}

variable "subnet_ids" {
  description = "The subnets that cells are spread over; empty for the default one, or what launch_template has."
  type        = list(string)
  default     = []
}

variable "instance_profile" {
  description = "The instance profile, such as one that may read the bucket of bundles."
  type        = string
  default     = null
}

variable "tags" {
  description = "More tags. Name and those that begin with homeostat: are the module's."
  type        = map(string)
  default     = {}
}

variable "user_data_format" {
  description = "\"cloud-init\", or \"shell\" for images without it."
  type        = string
  default     = "cloud-init"
}

variable "environment" {
  description = "More for the sidecars' environment. It stands in user data, so it is no place for secrets. AWS_* counts for fetching the bundle too."
  type        = map(string)
  default     = {}
}

variable "consul_addresses" {
  description = "Where an instance reaches Consul until it is a cell; null for the provider's own addresses."
  type        = list(string)
  default     = null
}

variable "secrets" {
  description = "Files whose content the cells get in /etc/homeostat/secrets, by name. Their paths stand in the state, their content doesn't."
  type        = map(string)
  default     = null
}

variable "console" {
  description = "The command that prints an instance's console when its birth has failed; INSTANCE stands for its id. Null for none."
  type        = list(string)
  default     = ["aws", "ec2", "get-console-output", "--instance-id", "INSTANCE", "--output", "text"]
}

variable "timeouts" {
  description = "How long a birth (create) and a removal (delete) may take, durations such as \"5m\". An instance that isn't a cell by then ends itself."
  type        = object({ create = optional(string, "10m"), delete = optional(string) })
  default     = {}
  nullable    = false
}
