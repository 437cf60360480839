package millpond.allowed_users_groups

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	whole := object.get(workload.spec, ["securityContext", "runAsNonRoot"], false)
	object.get(c.it, ["securityContext", "runAsNonRoot"], whole) != true
	msg := concat("", [c.at, ".securityContext.runAsNonRoot: it is not true, for the pod neither"])
}

settings := array.concat(
	[{"at": concat("", [workload.at, "spec"]), "context": context} | context := workload.spec.securityContext],
	[{"at": c.at, "context": context} |
		some c in workload.containers
		context := c.it.securityContext
	],
)

violation contains {"msg": msg} if {
	some each in settings
	some field in ["runAsUser", "runAsGroup", "fsGroup"]
	each.context[field] == 0
	msg := concat("", [each.at, ".securityContext.", field, ": it is 0, which is root"])
}

violation contains {"msg": msg} if {
	0 in workload.spec.securityContext.supplementalGroups
	msg := concat("", [workload.at, "spec.securityContext.supplementalGroups: 0 is in it, which is root"])
}
