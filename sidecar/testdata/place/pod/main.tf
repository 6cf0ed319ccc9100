# A service of cells that are nothing but entries in the state.

variable "desired_count" {
  type    = number
  default = 0
}

resource "terraform_data" "cell" {
  count = var.desired_count
  input = count.index
}
