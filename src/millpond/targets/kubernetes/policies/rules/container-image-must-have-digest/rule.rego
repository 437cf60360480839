package millpond.container_image_must_have_digest

import data.lib.workload


violation contains {"msg": msg} if {
	some c in workload.containers
	image := object.get(c.it, "image", "")
	not regex.match(`@sha256:[0-9a-f]{64}$`, image)
	msg := concat("", [c.at, ".image: ", image, " is not named by its digest"])
}
