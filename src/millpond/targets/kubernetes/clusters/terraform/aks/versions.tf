terraform {
  required_version = ">= 1.9, < 2.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.2"
    }
  }
}

provider "azurerm" {
  subscription_id     = var.subscription
  storage_use_azuread = true

  # Since its version 5 the provider registers nothing by itself.
  resource_provider_registrations = "core"
  resource_providers_to_register  = ["Microsoft.ContainerRegistry", "Microsoft.ContainerService"]

  features {}
}

data "azurerm_client_config" "current" {}

locals {
  tags = {
    part-of = var.name
  }

  # Names of registries and storage accounts are shared by everybody on Azure, and know no hyphens.
  plain = replace(var.name, "-", "")
  mark  = substr(sha256("${data.azurerm_client_config.current.subscription_id}/${var.name}"), 0, 8)
}

resource "azurerm_resource_group" "this" {
  name     = var.name
  location = var.region
  tags     = local.tags
}
