variable "name" {
  description = "The cluster's name, and the beginning of every other name"
  type        = string
  default     = "millpond"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name has 2 to 20 small letters, digits and hyphens, and begins with a letter."
  }
}

variable "region" {
  description = "The AWS region"
  type        = string
  default     = "eu-central-1"
}

variable "api_ranges" {
  description = "The address ranges that may reach the cluster's API, such as [\"203.0.113.7/32\"]"
  type        = list(string)

  validation {
    condition     = length(var.api_ranges) > 0
    error_message = "Name at least one range: an empty list would open the API to everybody."
  }
}

variable "images" {
  description = "The images that Millpond pushes, as ECR wants a repository for each"
  type        = set(string)
}

variable "kubernetes_version" {
  description = "Kubernetes's minor version, such as 1.34; what EKS takes by itself when null"
  type        = string
  default     = null
}

variable "network_range" {
  description = "The addresses of the network, a /16"
  type        = string
  default     = "10.40.0.0/16"
}

variable "zones" {
  description = "How many availability zones; EKS wants two or more"
  type        = number
  default     = 2

  validation {
    condition     = var.zones >= 2 && var.zones <= 4
    error_message = "The zones are 2 to 4."
  }
}

variable "cpu_size" {
  description = "The instance type of ordinary nodes"
  type        = string
  default     = "m6i.xlarge"
}

variable "cpu_max" {
  description = "How many ordinary nodes at most"
  type        = number
  default     = 6
}

variable "memory_size" {
  description = "The instance type of nodes with much memory"
  type        = string
  default     = "r6i.2xlarge"
}

variable "memory_max" {
  description = "How many nodes with much memory at most; there is none while nothing needs one"
  type        = number
  default     = 3
}

variable "gpu_size" {
  description = "The instance type of GPU nodes, or none for a cluster without"
  type        = string
  default     = "g5.xlarge"
}

variable "gpu_max" {
  description = "How many GPU nodes at most; there is none while nothing needs one"
  type        = number
  default     = 2
}

variable "disk_size" {
  description = "The disk of a node, in GiB"
  type        = number
  default     = 100
}

variable "keep_data" {
  description = "Whether terraform destroy refuses while the lake or the registry holds something"
  type        = bool
  default     = true
}
