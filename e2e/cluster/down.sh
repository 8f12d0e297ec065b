#!/usr/bin/env bash
# Stops what up.sh started: like a power cut by default (the state stays, the next up is a reboot of the node);
# with --wipe the state folder goes too, so that the next up is a new cluster.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if pid=$(init_pid); then
    # An nsenter stops with what it started, and goes on only when told: stopped, it would never see the end of its child.
    { pgrep -f "^nsenter --target $pid " || true; } | while read -r entered; do kill -CONT "$entered" || true; done
    kill -KILL "$pid" # ends every process of the pid namespace, and with them the mounts and network devices inside
    wait_for 30 "end of pid $pid" test ! -e "/proc/$pid"
fi
if ip link show "$CCOS_NETNS" >/dev/null 2>&1; then ip link del "$CCOS_NETNS"; fi
if [[ -e /run/netns/$CCOS_NETNS ]]; then ip netns del "$CCOS_NETNS"; fi
if [[ -e $CCOS_CLUSTER/run/netns-mount && -z $(ls /run/netns) ]]; then umount /run/netns && rmdir /run/netns; fi
for c in /sys/fs/cgroup/*/"$CCOS_NETNS"; do
    [[ -d $c ]] || continue
    wait_for 30 "end of the processes in $c" find "$c" -depth -type d -exec rmdir {} +
done
if [[ -e $CCOS_CLUSTER/run/cgroup-mounts ]]; then
    while read -r c; do umount "$c"; done <"$CCOS_CLUSTER/run/cgroup-mounts"
fi
if [[ -e $CCOS_CLUSTER/run/sysctls ]]; then sysctl -q -p "$CCOS_CLUSTER/run/sysctls"; fi
# Only if up made it: removing a folder detaches what is mounted on it in any other mount namespace, another kubelet's too.
if [[ -e $CCOS_CLUSTER/run/kubelet-folder ]]; then rmdir /var/lib/kubelet; fi
rm -rf "$CCOS_CLUSTER/run" "$CCOS_CLUSTER/sys"
if [[ ${1:-} == --wipe ]]; then rm -rf --one-file-system "$CCOS_CLUSTER"; fi
say "cluster is down"
