resource "google_artifact_registry_repository" "this" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of ${var.name}"

  depends_on = [google_project_service.needed]
}

# Nodes pull; people push by roles of their own.
resource "google_artifact_registry_repository_iam_member" "node" {
  location   = google_artifact_registry_repository.this.location
  repository = google_artifact_registry_repository.this.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.node.member
}
