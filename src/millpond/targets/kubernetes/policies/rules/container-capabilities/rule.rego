package millpond.container_capabilities

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	not "ALL" in object.get(c.it, ["securityContext", "capabilities", "drop"], [])
	msg := concat("", [c.at, ".securityContext.capabilities.drop: ALL is not in it"])
}

violation contains {"msg": msg} if {
	some c in workload.containers
	more := [added |
		some added in object.get(c.it, ["securityContext", "capabilities", "add"], [])
		not added in input.parameters.capabilities
	]
	count(more) > 0
	msg := concat("", [c.at, ".securityContext.capabilities.add: ", concat(", ", more), " is not allowed"])
}
