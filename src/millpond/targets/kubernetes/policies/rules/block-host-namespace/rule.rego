package millpond.block_host_namespace

import data.lib.workload

violation contains {"msg": msg} if {
	some field in ["hostPID", "hostIPC"]
	object.get(workload.spec, field, false) != false
	msg := concat("", [workload.at, "spec.", field, ": it is true"])
}
