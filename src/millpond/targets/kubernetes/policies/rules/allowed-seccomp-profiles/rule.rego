package millpond.allowed_seccomp_profiles

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	whole := object.get(workload.spec, ["securityContext", "seccompProfile", "type"], "")
	type := object.get(c.it, ["securityContext", "seccompProfile", "type"], whole)
	not type in input.parameters.seccomp_profiles
	msg := concat("", [c.at, ".securityContext.seccompProfile.type: ", reason(type)])
}

reason("") := "there is none, for the pod neither"

reason(type) := concat("", [type, " is not allowed"]) if type != ""
