package millpond.block_automount_token

import data.lib.workload

violation contains {"msg": msg} if {
	object.get(workload.spec, "automountServiceAccountToken", true) != false
	not object.get(workload.spec, "serviceAccountName", "default") in input.parameters.service_accounts
	msg := concat("", [workload.at, "spec.automountServiceAccountToken: it is not false"])
}
