package millpond.enforce_apparmor_profile

import data.lib.workload

violation contains {"msg": msg} if {
	some c in workload.containers
	whole := object.get(workload.spec, ["securityContext", "appArmorProfile", "type"], "RuntimeDefault")
	type := object.get(c.it, ["securityContext", "appArmorProfile", "type"], whole)
	not type in input.parameters.apparmor_profiles
	msg := concat("", [c.at, ".securityContext.appArmorProfile.type: ", type, " is not allowed"])
}

violation contains {"msg": msg} if {
	some key, profile in object.get(workload.pod, ["metadata", "annotations"], {})
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	profile == "unconfined"
	msg := concat("", [workload.at, "metadata.annotations[", key, "]: unconfined is not allowed"])
}
