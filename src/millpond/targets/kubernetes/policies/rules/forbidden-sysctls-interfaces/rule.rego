package millpond.forbidden_sysctls_interfaces

import data.lib.workload

violation contains {"msg": msg} if {
	some sysctl in object.get(workload.spec, ["securityContext", "sysctls"], [])
	not sysctl.name in input.parameters.sysctls
	msg := concat("", [workload.at, "spec.securityContext.sysctls: ", sysctl.name, " is not allowed"])
}
