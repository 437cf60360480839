package millpond.restrict_priority_classes

import data.lib.workload


violation contains {"msg": msg} if {
	class := object.get(workload.spec, "priorityClassName", "")
	class != ""
	not known(class)
	msg := concat("", [workload.at, "spec.priorityClassName: ", class, " is not allowed"])
}

known(class) if class in input.parameters.priority_classes

known(class) if {
	count(input.parameters.priority_classes) == 0
	not startswith(class, "system-")
}
