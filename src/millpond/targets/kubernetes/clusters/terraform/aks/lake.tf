# Azure's Blob Storage does not speak the S3 API, so the flavour keeps SeaweedFS as its lake. This container is
# for copies of it, and for tools that speak Azure's own API.

resource "azurerm_storage_account" "lake" {
  # 24 letters and digits at most.
  name                     = "${substr(local.plain, 0, 16)}${local.mark}"
  resource_group_name      = azurerm_resource_group.this.name
  location                 = azurerm_resource_group.this.location
  account_tier             = "Standard"
  account_replication_type = var.replication
  tags                     = local.tags

  # Identities with roles, no keys.
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  allow_nested_items_to_be_public = false
  min_tls_version                 = "TLS1_2"

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 30
    }

    container_delete_retention_policy {
      days = 30
    }
  }
}

resource "azurerm_storage_container" "lake" {
  name                  = "lake"
  storage_account_id    = azurerm_storage_account.lake.id
  container_access_type = "private"
}

# For a service account of the cluster, which you name by a federated credential.
resource "azurerm_user_assigned_identity" "lake" {
  name                = "${var.name}-lake"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.tags
}

resource "azurerm_role_assignment" "lake" {
  scope                = azurerm_storage_account.lake.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.lake.principal_id
}
