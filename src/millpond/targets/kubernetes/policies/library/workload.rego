# What policies ask of objects that carry pods, whatever their kind; variables.yaml says the same in CEL.
package lib.workload

subject := input.review.object

templated := {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"}

# Where the pod's own fields stand in the object.
at := "" if subject.kind == "Pod"

at := "spec.template." if subject.kind in templated

at := "spec.jobTemplate.spec.template." if subject.kind == "CronJob"

pod := subject if subject.kind == "Pod"

pod := subject.spec.template if subject.kind in templated

pod := subject.spec.jobTemplate.spec.template if subject.kind == "CronJob"

spec := pod.spec

# Every container, with its place and which list it is of.
containers := [{"at": concat("", [at, "spec.", list, "[", object.get(c, "name", "?"), "]"]), "list": list, "it": c} |
	some list in ["initContainers", "containers", "ephemeralContainers"]
	some c in object.get(spec, list, [])
]

volumes := [{"at": concat("", [at, "spec.volumes[", object.get(v, "name", "?"), "]"]), "it": v} |
	some v in object.get(spec, "volumes", [])
]
