#!/bin/sh
# Attacks the runner inside gVisor: builds it as the image has it (static), with the sabotage hook, and runs tests/gvisor.rs.
# usage: gvisor.sh [TEST...]; runsc from $RUNSC, $CCOS_TOOLS/bin or the cluster's tools. Needs root (runsc does), no network.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
: "${CCOS_TOOLS:=$HOME/.cache/ccos/tools}" "${RUNSC:=$CCOS_TOOLS/bin/runsc}" "${MANIFEST:=$here/Cargo.toml}"
[ -x "$RUNSC" ] || { echo "gvisor.sh: no runsc at $RUNSC: build it with e2e/, or set RUNSC" >&2; exit 1; }
export RUNSC CCOS_TOOLS
# A dynamic runner finds no loader in its empty image.
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
of="--manifest-path $MANIFEST --package ccos-runner --target x86_64-unknown-linux-gnu --features sabotage"
# shellcheck disable=SC2086
cargo build $of --example attack
# shellcheck disable=SC2086
exec cargo test $of --test gvisor -- --ignored --test-threads=2 "$@"
