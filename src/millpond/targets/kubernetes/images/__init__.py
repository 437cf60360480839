"""Images: what a component's processes run from on a cluster, made from the same locks as on one machine."""
