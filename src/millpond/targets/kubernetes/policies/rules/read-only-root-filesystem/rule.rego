package millpond.read_only_root_filesystem

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	object.get(c.it, ["securityContext", "readOnlyRootFilesystem"], false) != true
	msg := concat("", [c.at, ".securityContext.readOnlyRootFilesystem: it is not true"])
}
