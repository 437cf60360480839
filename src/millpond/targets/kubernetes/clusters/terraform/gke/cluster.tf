# What nodes are allowed: to tell of themselves, and to pull from the registry (registry.tf).
resource "google_service_account" "node" {
  account_id   = "${var.name}-node"
  display_name = "Nodes of ${var.name}"

  depends_on = [google_project_service.needed]
}

resource "google_project_iam_member" "node" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.node.member
}

resource "google_container_cluster" "this" {
  name     = var.name
  location = var.region

  network    = google_compute_network.this.id
  subnetwork = google_compute_subnetwork.this.id

  # The pools are in pools.tf; the one that GKE wants first goes again.
  remove_default_node_pool = true
  initial_node_count       = 1
  deletion_protection      = var.keep_data

  # Enforces network policies: Millpond closes the network but for the wiring's edges.
  datapath_provider = "ADVANCED_DATAPATH"

  ip_allocation_policy {
    cluster_secondary_range_name  = google_compute_subnetwork.this.secondary_ip_range[0].range_name
    services_secondary_range_name = google_compute_subnetwork.this.secondary_ip_range[1].range_name
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
  }

  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.api_ranges

      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  release_channel {
    channel = var.release_channel
  }

  # HTTPRoutes, for a flavour with `routes: {kind: gateway}`.
  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  # Of the pool that goes again: the project's default account may be missing, or allowed too much.
  node_config {
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
  }

  lifecycle {
    ignore_changes = [node_config]
  }

  depends_on = [google_project_iam_member.node, google_compute_router_nat.this]
}
