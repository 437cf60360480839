package millpond.host_network_ports

import data.lib.workload

violation contains {"msg": msg} if {
	object.get(workload.spec, "hostNetwork", false) != false
	msg := concat("", [workload.at, "spec.hostNetwork: it is true"])
}

violation contains {"msg": msg} if {
	some c in workload.containers
	ports := [format_int(port.hostPort, 10) |
		some port in object.get(c.it, "ports", [])
		object.get(port, "hostPort", 0) != 0
		not format_int(port.hostPort, 10) in input.parameters.host_ports
	]
	count(ports) > 0
	msg := concat("", [c.at, ".ports: the host's port ", concat(", ", ports), " is not allowed"])
}
