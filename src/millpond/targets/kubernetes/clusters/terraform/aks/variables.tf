variable "subscription" {
  description = "The subscription's id"
  type        = string
}

variable "name" {
  description = "The cluster's name, that of its resource group, and the beginning of every other name"
  type        = string
  default     = "millpond"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "The name has 2 to 20 small letters, digits and hyphens, and begins with a letter."
  }
}

variable "region" {
  description = "The Azure region"
  type        = string
  default     = "westeurope"
}

variable "api_ranges" {
  description = "The address ranges that may reach the cluster's API, such as [\"203.0.113.7/32\"]"
  type        = set(string)

  validation {
    condition     = length(var.api_ranges) > 0
    error_message = "Name at least one range: an empty list would open the API to everybody."
  }
}

variable "admins" {
  description = "Object ids of people and groups in Entra ID who administer the cluster; you alone when empty"
  type        = set(string)
  default     = []
}

variable "kubernetes_version" {
  description = "Kubernetes's minor version, such as 1.34; what AKS recommends when null"
  type        = string
  default     = null
}

variable "sku_tier" {
  description = "What Azure promises for the cluster's API: Free, Standard or Premium"
  type        = string
  default     = "Standard"
}

variable "cpu_size" {
  description = "The size of ordinary nodes"
  type        = string
  default     = "Standard_D4s_v5"
}

variable "cpu_max" {
  description = "How many ordinary nodes at most"
  type        = number
  default     = 6
}

variable "memory_size" {
  description = "The size of nodes with much memory"
  type        = string
  default     = "Standard_E8s_v5"
}

variable "memory_max" {
  description = "How many nodes with much memory at most; there is none while nothing needs one"
  type        = number
  default     = 3
}

variable "gpu_size" {
  description = "The size of GPU nodes, or none for a cluster without"
  type        = string
  default     = "Standard_NC4as_T4_v3"
}

variable "gpu_max" {
  description = "How many GPU nodes at most; there is none while nothing needs one"
  type        = number
  default     = 2
}

variable "disk_size" {
  description = "The disk of a node, in GB"
  type        = number
  default     = 128
}

variable "replication" {
  description = "How the storage account keeps copies: LRS in one place, ZRS in three zones, GRS in two regions"
  type        = string
  default     = "LRS"
}
