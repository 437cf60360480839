package millpond.allowed_volume_types

import data.lib.workload

violation contains {"msg": msg} if {
	some v in workload.volumes
	# Two kinds have policies of their own.
	some type, _ in v.it
	not type in {"name", "hostPath", "flexVolume"}
	not type in input.parameters.volume_types
	msg := concat("", [v.at, ": ", type, " is not allowed"])
}
