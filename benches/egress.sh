#!/usr/bin/env bash
# The egress proxy as it is shipped (static), beside squid and tinyproxy (Debian): in a network of its own, which ends with it. Needs
# root; no cluster. `CCOS_EGRESS=FILE egress.sh` measures another build of the proxy.
set -euo pipefail
# shellcheck source=../e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
cd "$root"

# Debian starts what it installs, unless this file says that it may not.
if ! command -v squid >/dev/null || ! command -v tinyproxy >/dev/null; then
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    packages squid tinyproxy
fi
packages iproute2 util-linux
need_rust
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
if [[ -z ${CCOS_EGRESS:-} ]]; then
    cargo build --release --locked --quiet --target x86_64-unknown-linux-gnu --package ccos-egress
    CCOS_EGRESS=$release/ccos-egress
fi
export CCOS_EGRESS CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=$root/benches/apart.sh
cargo bench --locked --quiet --target x86_64-unknown-linux-gnu --package ccos-benches --bench egress "$@"
