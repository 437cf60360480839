package millpond.block_default_namespace

violation contains {"msg": "metadata.namespace: it is default"} if {
	input.review.object.metadata.namespace == "default"
}
