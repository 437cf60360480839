# `millpond cluster flavour` reads these.

output "context" {
  description = "The kubeconfig's context, once the command in `kubeconfig` has run"
  value       = aws_eks_cluster.this.name
}

output "registry" {
  description = "Where images live"
  value       = "${local.registry_host}/${var.name}"

  # Whoever pushes by this name needs the repositories.
  depends_on = [aws_ecr_repository.this]
}

output "lake_endpoint" {
  description = "Where the S3 API listens"
  value       = "https://s3.${var.region}.amazonaws.com"
}

output "lake_bucket" {
  description = "The lake's bucket"
  value       = aws_s3_bucket.lake.bucket
}

output "lake_region" {
  description = "The region that requests to the lake are signed for"
  value       = var.region
}

output "gpu_pool" {
  description = "The taint and label of GPU nodes; empty without such a pool"
  value       = var.gpu_size == "none" ? "" : "dedicated=gpu"
}

# A person reads these.

output "kubeconfig" {
  description = "The command that adds the context"
  value       = "aws eks update-kubeconfig --region ${var.region} --name ${aws_eks_cluster.this.name} --alias ${aws_eks_cluster.this.name}"
}

output "lake_keys" {
  description = "The command that makes a key for the lake"
  value       = "aws iam create-access-key --user-name ${aws_iam_user.lake.name}"
}

output "registry_login" {
  description = "The command that lets docker push"
  value       = "aws ecr get-login-password --region ${var.region} | docker login --username AWS --password-stdin ${local.registry_host}"
}

output "autoscaler" {
  description = "The command that installs the cluster autoscaler"
  value       = "helm upgrade --install cluster-autoscaler cluster-autoscaler --repo https://kubernetes.github.io/autoscaler --namespace kube-system --set awsRegion=${var.region} --set autoDiscovery.clusterName=${aws_eks_cluster.this.name} --set rbac.serviceAccount.name=${aws_eks_pod_identity_association.autoscaler.service_account}"
}

output "gpu_plugin" {
  description = "The command that installs NVIDIA's device plugin; empty without a GPU pool"
  value       = var.gpu_size == "none" ? "" : "helm upgrade --install nvidia-device-plugin nvidia-device-plugin --repo https://nvidia.github.io/k8s-device-plugin --namespace kube-system --set-json 'tolerations=[{\"key\":\"dedicated\",\"operator\":\"Equal\",\"value\":\"gpu\",\"effect\":\"NoSchedule\"}]'"
}

output "oidc_issuer" {
  description = "The cluster's OIDC issuer, for roles of service accounts"
  value       = aws_eks_cluster.this.identity[0].oidc[0].issuer
}
