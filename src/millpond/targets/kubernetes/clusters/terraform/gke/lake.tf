resource "google_storage_bucket" "lake" {
  # Bucket names are shared by everybody on Google Cloud.
  name          = "${var.name}-lake-${var.project}"
  location      = var.region
  force_destroy = !var.keep_data

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }

    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.needed]
}

# Components speak the S3 API, which Cloud Storage answers with HMAC keys of a service account. The key is made by
# the command in the output `lake_keys`, as a key that Terraform makes would stand in its state.
resource "google_service_account" "lake" {
  account_id   = "${var.name}-lake"
  display_name = "The lake of ${var.name}"

  depends_on = [google_project_service.needed]
}

resource "google_storage_bucket_iam_member" "lake" {
  # The second one lets a client ask whether the bucket is there.
  for_each = toset(["roles/storage.objectUser", "roles/storage.legacyBucketReader"])

  bucket = google_storage_bucket.lake.name
  role   = each.key
  member = google_service_account.lake.member
}
