package millpond.selinux

import data.lib.workload

settings := array.concat(
	[{"at": concat("", [workload.at, "spec"]), "context": context} | context := workload.spec.securityContext],
	[{"at": c.at, "context": context} |
		some c in workload.containers
		context := c.it.securityContext
	],
)

violation contains {"msg": msg} if {
	some each in settings
	type := object.get(each.context, ["seLinuxOptions", "type"], "")
	type != ""
	not type in input.parameters.selinux_types
	msg := concat("", [each.at, ".securityContext.seLinuxOptions.type: ", type, " is not allowed"])
}

violation contains {"msg": msg} if {
	some each in settings
	some field in ["user", "role"]
	object.get(each.context, ["seLinuxOptions", field], "") != ""
	msg := concat("", [each.at, ".securityContext.seLinuxOptions.", field, ": it cannot be chosen"])
}
