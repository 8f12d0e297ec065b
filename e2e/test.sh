#!/usr/bin/env bash
# Brings the cluster up, installs the operator as it is in this clone, and runs the tests that speak kubectl.
# Usage: test.sh [ARGUMENT OF cargo test...]
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$root/e2e/cluster/up.sh" >&2
"$root/e2e/images.sh" >&2
"$root/e2e/install.sh"
need_rust
set -a # the tests read the images' names from the environment
# shellcheck disable=SC1090
. "$images"
set +a
cd "$root"
# By hand, not in the order of names: the last two take parts of the operator away, and bring them back.
failed=
for promise in admission policy providers files container attacks languages network fence late inbound relay clients proxy replicas credentials bandwidth exfiltration limits usage reports lifecycle queue retries rescan doctor audit receipts install; do
    cargo test -p ccos-e2e --locked --no-fail-fast --test "$promise" "$@" || failed="$failed $promise"
done
# What runs under gVisor and runc is not run under Kata: there is no lane for that yet, only a look at an installed one.
if [[ -z ${KATA_PREFIX:-} ]]; then
    say "skipped: the Kata lane, since KATA_PREFIX names no installed Kata"
else
    say "of the Kata in $KATA_PREFIX only the configuration is looked at: no execution is run under it"
    "$CCOS_CLI" doctor --kata-config "$KATA_PREFIX/share/defaults/kata-containers/configuration.toml" || failed="$failed kata"
fi
[[ -z $failed ]] || { "$root/e2e/logs.sh"; die "tests in the cluster failed:$failed"; }
