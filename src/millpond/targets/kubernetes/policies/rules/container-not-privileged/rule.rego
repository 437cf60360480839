package millpond.container_not_privileged

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	object.get(c.it, ["securityContext", "privileged"], false) != false
	msg := concat("", [c.at, ".securityContext.privileged: it is true"])
}
