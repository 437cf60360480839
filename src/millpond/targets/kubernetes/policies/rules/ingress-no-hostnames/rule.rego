package millpond.ingress_no_hostnames

violation contains {"msg": "spec.defaultBackend: it answers for every host"} if {
	input.review.object.kind == "Ingress"
	input.review.object.spec.defaultBackend
}

violation contains {"msg": msg} if {
	input.review.object.kind == "Ingress"
	some i, rule in object.get(input.review.object.spec, "rules", [])
	object.get(rule, "host", "") in {"", "*"}
	msg := concat("", ["spec.rules[", format_int(i, 10), "].host: there is none, so that it answers for every host"])
}

violation contains {"msg": "spec.hostnames: there are none, so that it answers for every host"} if {
	input.review.object.kind == "HTTPRoute"
	# One that hangs on Services only rules traffic inside the cluster.
	parents := [object.get(p, "kind", "Gateway") | some p in object.get(input.review.object.spec, "parentRefs", [])]
	"Gateway" in parents
	count(object.get(input.review.object.spec, "hostnames", [])) == 0
}
