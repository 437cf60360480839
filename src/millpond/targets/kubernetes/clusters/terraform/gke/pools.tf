# Three pools. Those for GPUs and for much memory are empty while no pod needs them.

resource "google_container_node_pool" "cpu" {
  name     = "cpu"
  cluster  = google_container_cluster.this.id
  location = var.region

  autoscaling {
    total_min_node_count = 1
    total_max_node_count = var.cpu_max
    location_policy      = "ANY"
  }

  node_config {
    machine_type    = var.cpu_size
    disk_size_gb    = var.disk_size
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { pool = "cpu" }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }
}

# A pod that no ordinary node is big enough for needs no toleration: the taint only keeps small pods away.
resource "google_container_node_pool" "memory" {
  name     = "memory"
  cluster  = google_container_cluster.this.id
  location = var.region

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.memory_max
    location_policy      = "ANY"
  }

  node_config {
    machine_type    = var.memory_size
    disk_size_gb    = var.disk_size
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { pool = "memory" }

    taint {
      key    = "dedicated"
      value  = "memory"
      effect = "PREFER_NO_SCHEDULE"
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }
}

# The taint and the label are those that a flavour's `kubernetes: {gpu: …}` means when it says nothing.
# GKE adds a taint nvidia.com/gpu of its own, and the toleration to pods that ask for a GPU.
resource "google_container_node_pool" "gpu" {
  count = var.gpu_size == "none" ? 0 : 1

  name           = "gpu"
  cluster        = google_container_cluster.this.id
  location       = var.region
  node_locations = length(var.gpu_zones) > 0 ? var.gpu_zones : null

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.gpu_max
    location_policy      = "ANY"
  }

  node_config {
    machine_type    = var.gpu_size
    disk_size_gb    = var.disk_size
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    labels          = { dedicated = "gpu" }

    taint {
      key    = "dedicated"
      value  = "gpu"
      effect = "NO_SCHEDULE"
    }

    guest_accelerator {
      type  = var.gpu_type
      count = var.gpu_count

      gpu_driver_installation_config {
        gpu_driver_version = "DEFAULT"
      }
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    # Secure boot is left off, as a driver that is installed on the node is not signed everywhere.
    shielded_instance_config {
      enable_integrity_monitoring = true
    }
  }
}
