#!/usr/bin/env bash
# Prints what explains a failure: objects, events and logs of the operator, and of the namespaces named as arguments.
set -uo pipefail # no -e: each part is worth printing if the one before fails
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

running || { say "the cluster is not up"; tail -n 20 "$CCOS_CLUSTER"/log/sandbox.log; exit 0; }
exec >&2
kubectl get nodes,pods -A -o wide
kubectl get capabilityexecutions -A
for namespace in ccos-system "$@"; do
    echo "--- events of $namespace"
    kubectl -n "$namespace" get events --sort-by=.lastTimestamp | tail -n 40
done
for component in controller webhook; do
    echo "--- $component"
    kubectl -n ccos-system describe pods -l "app.kubernetes.io/component=$component" | grep -A8 -E '^ *(State|Last State):' | head -n 40
    kubectl -n ccos-system logs -l "app.kubernetes.io/component=$component" --prefix --tail=80 --all-containers
    kubectl -n ccos-system logs -l "app.kubernetes.io/component=$component" --prefix --tail=40 --previous 2>/dev/null
done
