#!/usr/bin/env bash
# Brings the cluster up, installs the operator as it is in this clone, and runs the tests that speak kubectl: all, or those whose
# names have one of the words in them.
# Usage: test.sh [WORD...]
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
failed=
run() { cargo test -p ccos-e2e --locked --test main -- "$@" || failed="$failed [${*:-all}]"; }
for file in e2e/tests/*.rs; do
    name=$(basename "$file" .rs)
    [[ $name == main ]] || grep -q "^mod $name;" e2e/tests/main.rs || die "$file is no module of e2e/tests/main.rs: it would not be run"
done
if (( $# )); then
    run --include-ignored --test-threads=1 "$@"
else
    # Nearly all of the time goes by until the kubelet has looked: side by side it goes by once. More than four would wait for the
    # node's two processors instead, and code that is late is code that misses its bounds.
    run --test-threads=4
    # What says that it has to be alone. Last, in this order, what takes parts of the operator away, and brings them back.
    run --ignored --test-threads=1 --skip upstream:: --skip receipts:: --skip install::
    run --ignored --test-threads=1 upstream::
    run --ignored --test-threads=1 receipts::
    run --ignored --test-threads=1 install::
fi
# What runs under gVisor and runc is not run under Kata: there is no lane for that yet, only a look at an installed one.
if [[ -z ${KATA_PREFIX:-} ]]; then
    say "skipped: the Kata lane, since KATA_PREFIX names no installed Kata"
else
    say "of the Kata in $KATA_PREFIX only the configuration is looked at: no execution is run under it"
    "$CCOS_CLI" doctor --kata-config "$KATA_PREFIX/share/defaults/kata-containers/configuration.toml" || failed="$failed kata"
fi
[[ -z $failed ]] || { "$root/e2e/logs.sh"; die "tests in the cluster failed:$failed"; }
