package millpond.container_limits

import data.lib.workload


violation contains {"msg": msg} if {
	some c in workload.containers
	c.list != "ephemeralContainers"
	not has(c.it, "limits", "memory")
	msg := concat("", [c.at, ".resources.limits.memory: there is no limit"])
}

violation contains {"msg": msg} if {
	some c in workload.containers
	c.list != "ephemeralContainers"
	some resource in ["cpu", "memory"]
	# The API server takes a limit as the request where there is none.
	not has(c.it, "requests", resource)
	not has(c.it, "limits", resource)
	msg := concat("", [c.at, ".resources.requests.", resource, ": there is no request"])
}

has(container, kind, resource) if container.resources[kind][resource]
