package millpond.container_no_privilege_escalation

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	object.get(c.it, ["securityContext", "allowPrivilegeEscalation"], true) != false
	msg := concat("", [c.at, ".securityContext.allowPrivilegeEscalation: it is not false"])
}
