package millpond.allowed_external_ips

violation contains {"msg": msg} if {
	some address in object.get(input.review.object.spec, "externalIPs", [])
	not address in input.parameters.external_ips
	msg := concat("", ["spec.externalIPs: ", address, " is not allowed"])
}
