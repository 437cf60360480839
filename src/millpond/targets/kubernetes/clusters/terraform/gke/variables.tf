variable "project" {
  description = "The project's id"
  type        = string
}

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
  description = "The Google Cloud region"
  type        = string
  default     = "europe-west4"
}

variable "api_ranges" {
  description = "The address ranges that may reach the cluster's API, such as [\"203.0.113.7/32\"]"
  type        = list(string)

  validation {
    condition     = length(var.api_ranges) > 0
    error_message = "Name at least one range: nobody could reach the API."
  }
}

variable "release_channel" {
  description = "How new the cluster's Kubernetes is: RAPID, REGULAR or STABLE"
  type        = string
  default     = "REGULAR"
}

variable "cpu_size" {
  description = "The machine type of ordinary nodes"
  type        = string
  default     = "n2-standard-4"
}

variable "cpu_max" {
  description = "How many ordinary nodes at most, over all zones"
  type        = number
  default     = 6
}

variable "memory_size" {
  description = "The machine type of nodes with much memory"
  type        = string
  default     = "n2-highmem-8"
}

variable "memory_max" {
  description = "How many nodes with much memory at most; there is none while nothing needs one"
  type        = number
  default     = 3
}

variable "gpu_size" {
  description = "The machine type of GPU nodes, or none for a cluster without"
  type        = string
  default     = "g2-standard-4"
}

variable "gpu_type" {
  description = "The GPU of that machine type"
  type        = string
  default     = "nvidia-l4"
}

variable "gpu_count" {
  description = "How many GPUs a GPU node has; a machine type of the G2 family says it itself"
  type        = number
  default     = 1
}

variable "gpu_zones" {
  description = "The zones of the region that have this GPU; all when empty"
  type        = list(string)
  default     = []
}

variable "gpu_max" {
  description = "How many GPU nodes at most; there is none while nothing needs one"
  type        = number
  default     = 2
}

variable "disk_size" {
  description = "The disk of a node, in GB"
  type        = number
  default     = 100
}

variable "keep_data" {
  description = "Whether terraform destroy refuses to take the cluster, and the lake while it holds something"
  type        = bool
  default     = true
}
