# `millpond cluster flavour` reads these.

output "context" {
  description = "The kubeconfig's context, once the command in `kubeconfig` has run"
  value       = "gke_${var.project}_${var.region}_${google_container_cluster.this.name}"
}

output "registry" {
  description = "Where images live"
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.this.repository_id}"
}

output "lake_endpoint" {
  description = "Where the S3 API listens"
  value       = "https://storage.googleapis.com"
}

output "lake_bucket" {
  description = "The lake's bucket"
  value       = google_storage_bucket.lake.name
}

output "lake_region" {
  description = "The region that requests to the lake are signed for"
  value       = "auto"
}

output "gpu_pool" {
  description = "The taint and label of GPU nodes; empty without such a pool"
  value       = var.gpu_size == "none" ? "" : "dedicated=gpu"
}

# A person reads these.

output "kubeconfig" {
  description = "The command that adds the context"
  value       = "gcloud container clusters get-credentials ${google_container_cluster.this.name} --region ${var.region} --project ${var.project}"
}

output "lake_keys" {
  description = "The command that makes a key for the lake"
  value       = "gcloud storage hmac create ${google_service_account.lake.email} --project ${var.project}"
}

output "registry_login" {
  description = "The command that lets docker push"
  value       = "gcloud auth configure-docker ${var.region}-docker.pkg.dev"
}

output "workload_pool" {
  description = "The pool of the cluster's workload identities"
  value       = google_container_cluster.this.workload_identity_config[0].workload_pool
}
