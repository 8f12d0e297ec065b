#!/usr/bin/env bash
# From nothing to one execution that is allowed and one that is denied, in a real cluster. Leaves the cluster up, to look around.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$root/e2e/cluster/up.sh" >&2
"$root/e2e/images.sh" >&2
"$root/e2e/install.sh"
# shellcheck disable=SC1090
. "$images"

cd "$root"
title() { printf '\n=== %s\n\n' "$*"; }
show() { # COMMAND... - prints it as one would type it, and runs it
    printf '$ %s\n' "$*"
    "$@"
}
# The examples name no registry of ours: what is here replaces the image whose digest is zeros.
examples() { sed -E "s|[^ ]+@sha256:0{64}|$CCOS_PYTHON_IMAGE|" "examples/$1"; }
alice() { kubectl --as alice --as-group analysts -n demo "$@"; } # who may use the context `analysts`, and nothing else
failed() { "$root/e2e/logs.sh" demo; die "$1"; }
status() { kubectl -n demo get capabilityexecution "$1" -o "jsonpath=$2"; }

# Names are idempotency keys, so a second demo has to take the first one's away.
kubectl -n demo delete capabilityexecution --all --ignore-not-found --timeout 1m >/dev/null 2>&1 || true
for file in 1-namespace 2-data 3-context 4-provider; do examples "$file.yaml" | kubectl apply -f - >&2; done

title "An execution within its grant"
cat examples/executions/summary.yaml
echo
echo '$ kubectl --as alice --as-group analysts create -f examples/executions/summary.yaml'
alice create -f examples/executions/summary.yaml || failed "the execution was refused"
show kubectl -n demo wait --for=condition=Finished capex/summary --timeout=90s || failed "the execution did not finish"
if [[ $(status summary '{.status.conditions[?(@.type=="Succeeded")].status}') != True ]]; then failed "the execution did not succeed"; fi
echo '$ kubectl -n demo get capex summary -o jsonpath={.status.result.inline}'
status summary '{.status.result.inline}' | jq .

title "Where it ran, and what holds it"
cat <<TEXT
"proven": before the code started, the runner tried what is forbidden, and was refused. The network policy and the pod are the
execution's own; the quota is what the context's capacity allows in this namespace. The pod may run a moment longer than its code.

TEXT
pod=$(status summary '{.status.attempts[0].podName}')
show kubectl -n demo get pod "$pod" -o custom-columns=POD:.metadata.name,RUNTIMECLASS:.spec.runtimeClassName,USER:.spec.containers[0].securityContext.runAsUser
show kubectl -n demo get capex summary -o 'jsonpath={range .status.enforcement[*]}{.field}: {.mechanism} (proven: {.proven}){"\n"}{end}'
show kubectl -n demo get networkpolicy,resourcequota,pod

title "The kernel that it runs on"
cat <<TEXT
Not the node's: gVisor's, whose log says so, with its usual jokes. An administrator reads it from outside; to the code it is refused.

TEXT
# From inside: the code can't read a kernel log (syslog(2) is refused), but asks for the kernel's name. From outside: the log of the
# sandbox, by a container that an administrator puts into the running pod.
alice create -f examples/executions/kernel.yaml >/dev/null || failed "the execution was refused"
kubectl -n demo wait --for=condition=Started capex/kernel --timeout=60s >/dev/null || failed "the execution did not start"
pod=$(status kernel '{.status.attempts[0].podName}')
kubectl -n demo debug "$pod" --image "$CCOS_BUSYBOX_IMAGE" --profile restricted --container look --attach=false --quiet -- dmesg >/dev/null
kernel_log() { kubectl -n demo logs "$pod" --container look 2>/dev/null | grep gVisor; }
wait_for 30 "the kernel log of pod $pod" kernel_log
echo "$ kubectl -n demo debug $pod --image busybox --profile restricted -- dmesg"
kubectl -n demo logs "$pod" --container look | sed -n 1,4p
kubectl -n demo wait --for=condition=Finished capex/kernel --timeout=90s >/dev/null || failed "the execution did not finish"
echo '$ kubectl -n demo get capex kernel -o jsonpath={.status.result.inline}'
status kernel '{.status.result.inline}' | jq -c .

title "An execution that wants more than its grant"
echo 'Refused by the API server, with a line for each reason: the field, its value, why, what is granted, and who asks for it.'
echo
echo '$ kubectl --as alice --as-group analysts create -f examples/executions/snoop.yaml'
if denial=$(alice create -f examples/executions/snoop.yaml 2>&1); then failed "it was admitted"; fi
echo "$denial"
for field in filesystem.read network.outbound limits.memory; do
    [[ $denial == *requires.*"$field"* ]] || failed "the denial does not speak of $field"
done

title "All of it"
show kubectl -n demo get secctx,capprov,capex
cat <<TEXT

The cluster stays up. To look around:
  export KUBECONFIG=$CCOS_CLUSTER/kubeconfig PATH=$CCOS_TOOLS/bin:\$PATH
  kubectl explain capex.spec.requires
  kubectl -n demo describe capex summary
  $CCOS_CLI explain summary -n demo
  $CCOS_CLI can-i use analysts --as bob -n demo
Take a path out of examples/3-context.yaml, apply it, and create the summary again: it is refused. A name runs once, so to let it run
again, delete it first: kubectl -n demo delete capex summary
How to write all of this for a program of your own: docs/recipes.md. To end the cluster: make cluster-down
TEXT
