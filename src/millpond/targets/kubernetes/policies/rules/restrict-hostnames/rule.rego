package millpond.restrict_hostnames

hosts contains {"at": concat("", ["spec.rules[", format_int(i, 10), "].host"]), "host": rule.host} if {
	input.review.object.kind == "Ingress"
	some i, rule in object.get(input.review.object.spec, "rules", [])
	rule.host != ""
}

hosts contains {"at": concat("", ["spec.hostnames[", format_int(i, 10), "]"]), "host": host} if {
	input.review.object.kind == "HTTPRoute"
	some i, host in object.get(input.review.object.spec, "hostnames", [])
}

violation contains {"msg": msg} if {
	some each in hosts
	not known(each.host)
	msg := concat("", [each.at, ": ", each.host, " is not below ", concat(" or ", input.parameters.hosts)])
}

known(host) if host in input.parameters.hosts

known(host) if {
	some domain in input.parameters.hosts
	endswith(host, concat("", [".", domain]))
}
