#!/usr/bin/env bash
# Runs a program in a network and processes of its own, with the addresses that benches/egress knows. All that it starts ends with it.
set -euo pipefail
# shellcheck disable=SC2016 # the inner shell's
exec unshare --net --pid --fork --kill-child --mount-proc bash -euc '
ip link set lo up
ip address add 10.0.0.2/32 dev lo
for last in {1..8}; do ip address add "10.0.1.$last/32" dev lo; done
# A new connection each millisecond, and each keeps its port for a minute.
sysctl --quiet net.ipv4.ip_local_port_range="10000 65535" net.ipv4.tcp_tw_reuse=1
ulimit -n "$(ulimit -Hn)"
exec "$@"' apart "$@"
