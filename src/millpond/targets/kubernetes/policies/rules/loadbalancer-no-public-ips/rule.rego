package millpond.loadbalancer_no_public_ips

annotations := {
	"service.beta.kubernetes.io/azure-load-balancer-internal": "true",
	"service.beta.kubernetes.io/aws-load-balancer-internal": "true",
	"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
	"networking.gke.io/load-balancer-type": "Internal",
	"service.beta.kubernetes.io/openstack-internal-load-balancer": "true",
}

violation contains {"msg": "spec.type: the load balancer has no annotation that makes it internal"} if {
	input.review.object.spec.type == "LoadBalancer"
	not internal
}

internal if {
	some name, value in annotations
	input.review.object.metadata.annotations[name] == value
}
