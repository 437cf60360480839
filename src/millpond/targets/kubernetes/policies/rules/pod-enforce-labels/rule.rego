package millpond.pod_enforce_labels

import data.lib.workload


violation contains {"msg": msg} if {
	workload.spec
	labels := object.get(workload.pod, ["metadata", "labels"], {})
	some label in input.parameters.labels
	object.get(labels, label, "") == ""
	msg := concat("", [workload.at, "metadata.labels: ", label, " is missing"])
}
