# `millpond cluster flavour` reads these. There is no lake among them: Blob Storage does not speak the S3 API.

output "context" {
  description = "The kubeconfig's context, once the command in `kubeconfig` has run"
  value       = azurerm_kubernetes_cluster.this.name
}

output "registry" {
  description = "Where images live"
  value       = azurerm_container_registry.this.login_server
}

output "gpu_pool" {
  description = "The taint and label of GPU nodes; empty without such a pool"
  value       = var.gpu_size == "none" ? "" : "dedicated=gpu"
}

# A person reads these.

output "kubeconfig" {
  description = "The commands that add the context"
  value       = "az aks get-credentials --resource-group ${azurerm_resource_group.this.name} --name ${azurerm_kubernetes_cluster.this.name} && kubelogin convert-kubeconfig -l azurecli"
}

output "registry_login" {
  description = "The command that lets docker push"
  value       = "az acr login --name ${azurerm_container_registry.this.name}"
}

output "gpu_plugin" {
  description = "The command that installs NVIDIA's device plugin; empty without a GPU pool"
  value       = var.gpu_size == "none" ? "" : "helm upgrade --install nvidia-device-plugin nvidia-device-plugin --repo https://nvidia.github.io/k8s-device-plugin --namespace kube-system --set-json 'tolerations=[{\"key\":\"dedicated\",\"operator\":\"Equal\",\"value\":\"gpu\",\"effect\":\"NoSchedule\"}]'"
}

output "blob_container" {
  description = "The container for copies of the lake"
  value       = azurerm_storage_container.lake.id
}

output "blob_identity" {
  description = "The client id of the identity that may write there"
  value       = azurerm_user_assigned_identity.lake.client_id
}

output "oidc_issuer" {
  description = "The cluster's OIDC issuer, for federated credentials of service accounts"
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}
