# The pool for ordinary pods is the cluster's default one, in cluster.tf. These are empty while no pod needs them.

# A pod that no ordinary node is big enough for needs no toleration: the taint only keeps small pods away.
resource "azurerm_kubernetes_cluster_node_pool" "memory" {
  name                        = "memory"
  temporary_name_for_rotation = "memorynext"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  vm_size                     = var.memory_size
  vnet_subnet_id              = azurerm_subnet.nodes.id
  os_disk_size_gb             = var.disk_size
  auto_scaling_enabled        = true
  min_count                   = 0
  max_count                   = var.memory_max
  node_labels                 = { pool = "memory" }
  node_taints                 = ["dedicated=memory:PreferNoSchedule"]
  tags                        = local.tags

  upgrade_settings {
    max_surge = "10%"
  }

  lifecycle {
    ignore_changes = [node_count]
  }
}

# The taint and the label are those that a flavour's `kubernetes: {gpu: …}` means when it says nothing.
resource "azurerm_kubernetes_cluster_node_pool" "gpu" {
  count = var.gpu_size == "none" ? 0 : 1

  name                        = "gpu"
  temporary_name_for_rotation = "gpunext"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  vm_size                     = var.gpu_size
  vnet_subnet_id              = azurerm_subnet.nodes.id
  os_disk_size_gb             = var.disk_size
  gpu_driver                  = "Install"
  auto_scaling_enabled        = true
  min_count                   = 0
  max_count                   = var.gpu_max
  node_taints                 = ["dedicated=gpu:NoSchedule"]
  tags                        = local.tags

  # NVIDIA's device plugin goes to nodes with the second one.
  node_labels = {
    "dedicated"              = "gpu"
    "nvidia.com/gpu.present" = "true"
  }

  upgrade_settings {
    max_surge = "10%"
  }

  lifecycle {
    ignore_changes = [node_count]
  }
}
