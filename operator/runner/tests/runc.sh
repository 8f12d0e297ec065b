#!/bin/sh
# Attacks the runner in a container of the machine's kernel, where Landlock holds it: builds it as the image has it (static), with
# the sabotage hook, and runs tests/runc.rs.
# usage: runc.sh [TEST...]; runc from $RUNC, $CCOS_TOOLS/bin or the cluster's tools. Needs root, a kernel with Landlock ABI 6 (Linux
# 6.12), no network.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
: "${CCOS_TOOLS:=$HOME/.cache/ccos/tools}" "${RUNC:=$CCOS_TOOLS/bin/runc}" "${MANIFEST:=$here/Cargo.toml}"
[ -x "$RUNC" ] || { echo "runc.sh: no runc at $RUNC: build it with e2e/, or set RUNC" >&2; exit 1; }
export RUNC CCOS_TOOLS
# What attacks is one program without a loader.
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
of="--manifest-path $MANIFEST --package ccos-runner --target x86_64-unknown-linux-gnu --features sabotage"
# shellcheck disable=SC2086
cargo build $of --example attack
# shellcheck disable=SC2086
exec cargo test $of --test runc -- --ignored --test-threads=2 "$@"
