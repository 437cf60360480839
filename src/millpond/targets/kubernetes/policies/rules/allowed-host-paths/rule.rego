package millpond.allowed_host_paths

import data.lib.workload

violation contains {"msg": msg} if {
	some v in workload.volumes
	path := v.it.hostPath.path
	not known(path)
	msg := concat("", [v.at, ".hostPath.path: ", path, " is not allowed"])
}

known(path) if {
	some folder in input.parameters.host_paths
	startswith(concat("", [path, "/"]), concat("", [trim_suffix(folder, "/"), "/"]))
	not contains(path, "..")
}
