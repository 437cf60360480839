package millpond.flexvolume_drivers

import data.lib.workload

violation contains {"msg": msg} if {
	some v in workload.volumes
	driver := v.it.flexVolume.driver
	not driver in input.parameters.flexvolume_drivers
	msg := concat("", [v.at, ".flexVolume.driver: ", driver, " is not allowed"])
}
