package millpond.container_allowed_images

import data.lib.workload


violation contains {"msg": msg} if {
	some c in workload.containers
	image := full(object.get(c.it, "image", ""))
	not known(image)
	msg := concat("", [c.at, ".image: ", image, " is not from ", concat(" or ", input.parameters.registries)])
}

known(image) if {
	some registry in input.parameters.registries
	startswith(image, concat("", [trim_suffix(registry, "/"), "/"]))
}

# A name whose first part is no host is Docker Hub's.
full(image) := image if hosted(image)

full(image) := concat("", ["docker.io/", image]) if {
	not hosted(image)
	contains(image, "/")
}

full(image) := concat("", ["docker.io/library/", image]) if not contains(image, "/")

hosted(image) if {
	contains(image, "/")
	regex.match(`[.:]|^localhost$`, split(image, "/")[0])
}
