#!/usr/bin/env bash
# Installs the charts into the running cluster, with the images that images.sh pushed, and waits until admission answers.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -e $images ]] || die "$images is missing: run e2e/images.sh"
# shellcheck disable=SC1090
. "$images"
namespace=ccos-system

kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >&2
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted --overwrite >&2

# --take-ownership: whoever works on the kinds has applied them by hand before.
say "install the kinds"
helm upgrade --install ccos-crds "$root/charts/ccos-crds" --namespace "$namespace" --take-ownership --force-conflicts \
    --wait --timeout 1m >&2

# Of the server in tests that credentials are sent to. Not an authority: webpki wants none at the end of a chain.
packages openssl
world=$CCOS_CLUSTER/world
[[ -e $world.crt ]] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=world-a.test \
    -addext subjectAltName=DNS:world-a.test -addext basicConstraints=critical,CA:FALSE -keyout "$world.key" -out "$world.crt" >&2

say "install the operator"
digest() { echo "${1#*@}"; }
helm upgrade --install ccos "$root/charts/ccos" --namespace "$namespace" --wait --timeout 3m \
    --set "image.registry=$registry" --set runner.startDeadline=75s \
    --set "registries.allowed={$registry}" --set "registries.insecure={$registry}" \
    --set isolations.Container.landlockAbi=7 --set isolations.Container.podUserNamespaces=true --set isolations.Container.egress=true \
    --set 'ceiling.permissions.filesystem.blocked={/etc/shadow}' --set ceiling.limits.memory=1Gi \
    --set "controller.image.digest=$(digest "$CCOS_CONTROLLER_IMAGE")" \
    --set "webhook.image.digest=$(digest "$CCOS_WEBHOOK_IMAGE")" \
    --set "egress.image.digest=$(digest "$CCOS_EGRESS_IMAGE")" --set egress.drainSeconds=5 \
    --set-file "egress.authorities=$world.crt" \
    --set 'egress.clusterCIDRs={10.244.0.0/16,10.96.0.0/16,10.245.0.2/32}' \
    --set 'egress.allowedCIDRs={10.245.0.11/32,10.245.0.12/32}' \
    --set "runner.image.digest=$(digest "$CCOS_RUNNER_IMAGE")" >&2 || { "$root/e2e/logs.sh" "$namespace"; die "helm could not install the operator"; }

# Ready pods are not enough: the API server must have the new caBundle, and kube-proxy the endpoints. The answer must be ours, so
# ask for something that only the webhook refuses.
admission_answers() {
    ! answer=$(kubectl create --dry-run=server -f - 2>&1 <<'YAML'
apiVersion: security.ccos.dev/v1alpha1
kind: CapabilityExecution
metadata: {name: does-admission-answer, namespace: default}
spec:
  contextRef: {kind: SecurityContext, name: does-not-exist}
  capabilityRef: {kind: CapabilityProvider, name: does-not-exist, id: does.not.exist}
  inputs: {}
YAML
    ) && [[ $answer == *'denied the request'*does-not-exist* ]]
}
trap 'say "the last answer: $answer"; "$root/e2e/logs.sh"' EXIT
wait_for 60 "admission" admission_answers
trap - EXIT
say "ccos is installed in $namespace"
