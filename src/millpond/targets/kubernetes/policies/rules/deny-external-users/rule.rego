package millpond.deny_external_users

violation contains {"msg": msg} if {
	some i, subject in object.get(input.review.object, "subjects", [])
	subject.kind in {"User", "Group"}
	not known(subject)
	msg := concat("", ["subjects[", format_int(i, 10), "].name: the ", lower(subject.kind), " ", subject.name, " is not listed"])
}

known(subject) if subject.name in input.parameters.users

known(subject) if {
	subject.kind == "User"
	some domain in input.parameters.users
	startswith(domain, "@")
	endswith(subject.name, domain)
}
