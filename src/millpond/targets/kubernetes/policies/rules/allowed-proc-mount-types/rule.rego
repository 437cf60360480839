package millpond.allowed_proc_mount_types

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	type := object.get(c.it, ["securityContext", "procMount"], "Default")
	not type in input.parameters.proc_mounts
	msg := concat("", [c.at, ".securityContext.procMount: ", type, " is not allowed"])
}
