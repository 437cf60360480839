# Nodes pull by their role; people push by theirs.
resource "aws_ecr_repository" "this" {
  for_each = var.images

  name         = "${var.name}/${each.key}"
  force_delete = !var.keep_data

  image_scanning_configuration {
    scan_on_push = true
  }
}

locals {
  registry_host = "${data.aws_caller_identity.current.account_id}.dkr.ecr.${var.region}.amazonaws.com"
}
