#!/usr/bin/env bash
# What the runner costs in runc and in gVisor, beside a bare exec: builds it as the image has it (static), and runs the benchmark.
# Needs root, and runc and runsc of $CCOS_TOOLS; no cluster.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${CCOS_TOOLS:=${XDG_CACHE_HOME:-$HOME/.cache}/ccos/tools}"
: "${RUNC:=$CCOS_TOOLS/bin/runc}" "${RUNSC:=$CCOS_TOOLS/bin/runsc}"
export CCOS_TOOLS RUNC RUNSC
for tool in "$RUNC" "$RUNSC" "$CCOS_TOOLS/rootfs/busybox/bin/busybox"; do
    [[ -x $tool ]] || { echo "lockdown.sh: no $tool: run e2e/cluster/build.sh busybox gvisor runc" >&2; exit 1; }
done
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
cd "$root"
cargo build --release --locked --quiet --target x86_64-unknown-linux-gnu --package ccos-runner --example attack
exec cargo bench --locked --quiet --target x86_64-unknown-linux-gnu --package ccos-runner --bench lockdown "$@"
