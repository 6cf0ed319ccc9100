# The crawler cells on instances of EC2, whose API is LocalStack's here.

terraform {
  required_version = ">= 1.10" # the lock file of the S3 backend
  required_providers {
    homeostat = { source = "homeostat-io/homeostat" }
    aws       = { source = "hashicorp/aws", version = "~> 5.0" }
  }

  # The state lies in S3, locked by a file beside it. Where that S3 is, and its
  # credentials, come from the environment: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID,
  # AWS_SECRET_ACCESS_KEY. What skips checks is for LocalStack.
  backend "s3" {
    bucket                      = "states"
    key                         = "crawler.tfstate"
    region                      = "us-east-1"
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
  }
}

provider "homeostat" {
  consul          = { address = var.consul_address }
  state_directory = var.state_directory
  peers_key_file  = var.peers_key_file
}

# In the cloud a region is enough.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true

  endpoints {
    ec2 = var.aws_endpoint
    iam = var.aws_endpoint
    s3  = var.aws_endpoint
    ssm = var.aws_endpoint
    sts = var.aws_endpoint
  }
}

# The two variables that the sidecar writes (homeostat.auto.tfvars.json). Where
# they are null, the record in Consul is asked, so an apply by hand changes
# nothing.

variable "desired_count" {
  description = "How many cells there are to be. Written by Homeostat."
  type        = number
  default     = null
}

variable "cell_names" {
  description = "Which cells there are to be. Written by Homeostat."
  type        = list(string)
  default     = null
}

variable "initial_count" {
  description = "How many cells of a new service; given once, by -var."
  type        = number
  default     = null
}

# A network in which this host has the first address. EC2 gives out no address
# below the fifth.
resource "aws_vpc" "crawlers" {
  cidr_block = var.network
}

resource "aws_subnet" "crawlers" {
  vpc_id     = aws_vpc.crawlers.id
  cidr_block = var.network
}

resource "aws_security_group" "crawlers" {
  name   = "crawlers"
  vpc_id = aws_vpc.crawlers.id

  ingress {
    description = "The sidecars and the crawlers, each at a port of its own."
    from_port   = 1024
    to_port     = 65535
    protocol    = "tcp"
    cidr_blocks = [var.network]
  }
}

module "cells" {
  source = "../../../modules/ec2-cells"

  service       = "crawler"
  desired_count = var.desired_count
  cell_names    = var.cell_names
  initial_count = var.initial_count

  ami                = "ami-ff0fea8310f3" # the machines are all of one image, whatever stands here
  instance_type      = "t3.micro"
  subnet_ids         = [aws_subnet.crawlers.id]
  security_group_ids = [aws_security_group.crawlers.id]
  secrets            = { "peers-key" = var.peers_key_file }
  console            = ["tail", "-n", "100", "${var.machines}/consoles/INSTANCE.log"]
  timeouts           = { create = "5m", delete = "2m" }

  # LocalStack takes any credentials. In the cloud an instance profile lets the
  # instances read the bucket of bundles.
  environment = { AWS_ACCESS_KEY_ID = "test", AWS_SECRET_ACCESS_KEY = "test" }
}
