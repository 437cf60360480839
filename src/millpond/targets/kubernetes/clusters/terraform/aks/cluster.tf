resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.name}-cluster"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.tags
}

# Load balancers get their addresses in this subnet, and the cluster no say over anything else.
resource "azurerm_role_assignment" "network" {
  scope                = azurerm_subnet.nodes.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

resource "azurerm_kubernetes_cluster" "this" {
  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  dns_prefix          = var.name
  kubernetes_version  = var.kubernetes_version
  sku_tier            = var.sku_tier
  tags                = local.tags

  # Who may do what is said by roles in Azure; there is no password that opens everything.
  local_account_disabled = true

  oidc_issuer_enabled       = true
  workload_identity_enabled = true

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled = true
    tenant_id          = data.azurerm_client_config.current.tenant_id
  }

  api_server_access_profile {
    authorized_ip_ranges = var.api_ranges
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  # The pools below, scaled by the cluster autoscaler, and none that Azure makes up.
  node_provisioning_profile {
    mode               = "Manual"
    default_node_pools = "None"
  }

  # Cilium enforces network policies: Millpond closes the network but for the wiring's edges.
  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    pod_cidr            = "10.244.0.0/16"
    service_cidr        = "10.61.0.0/16"
    dns_service_ip      = "10.61.0.10"
  }

  # The pool for ordinary pods, and for AKS's own.
  default_node_pool {
    name                        = "cpu"
    temporary_name_for_rotation = "cpunext"
    vm_size                     = var.cpu_size
    vnet_subnet_id              = azurerm_subnet.nodes.id
    os_disk_size_gb             = var.disk_size
    auto_scaling_enabled        = true
    min_count                   = 1
    max_count                   = var.cpu_max
    node_labels                 = { pool = "cpu" }
    tags                        = local.tags

    upgrade_settings {
      max_surge = "10%"
    }
  }

  lifecycle {
    ignore_changes = [default_node_pool[0].node_count]
  }

  depends_on = [azurerm_role_assignment.network]
}

resource "azurerm_role_assignment" "admin" {
  for_each = length(var.admins) > 0 ? var.admins : toset([data.azurerm_client_config.current.object_id])

  scope                = azurerm_kubernetes_cluster.this.id
  role_definition_name = "Azure Kubernetes Service RBAC Cluster Admin"
  principal_id         = each.key
}
