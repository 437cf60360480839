terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.62"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      "app.kubernetes.io/part-of" = var.name
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_availability_zones" "here" {
  state = "available"
}
