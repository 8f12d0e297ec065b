#!/usr/bin/env bash
# Lists what a cluster leaves on the machine while it runs: processes, mounts, namespaces, devices, routes, cgroups, folders.
# After down.sh there must be nothing. Exit status 1 if there is something.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

found=0
trace() { # KIND WHAT
    printf '%-10s %s\n' "$1" "$2"
    found=1
}
lines() { # KIND - a trace for each line of standard input
    local line
    while read -r line; do trace "$1" "$line"; done
}

for process in /proc/[0-9]*; do
    # A kubectl or helm that somebody runs is no part of the cluster.
    exe=$(readlink "$process/exe") || continue
    case ${exe% (deleted)} in
    "$CCOS_TOOLS"/bin/kubectl | "$CCOS_TOOLS"/bin/helm) continue ;;
    "$CCOS_TOOLS"/bin/*) trace process "${process#/proc/} $exe" ;;
    *)  # what entered its namespaces, such as a pod or the nsenter that started a daemon
        if grep -qsE "[:/]$CCOS_NETNS(/|\$)" "$process/cgroup"; then trace process "${process#/proc/} $exe"; fi
        if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF "$CCOS_CLUSTER/run/"; then trace process "${process#/proc/} $exe"; fi ;;
    esac
done
lines mount < <(awk -v state="$CCOS_CLUSTER" -v name="$CCOS_NETNS" \
    'index($5, state "/") == 1 || $5 == "/run/netns/" name || $5 == "/var/lib/kubelet" {print $5}' /proc/self/mountinfo)
if [[ -e $CCOS_CLUSTER/run/cgroup-mounts ]]; then lines mount <"$CCOS_CLUSTER/run/cgroup-mounts"; fi
if [[ -e /run/netns/$CCOS_NETNS ]]; then trace namespace "/run/netns/$CCOS_NETNS"; fi
lines device < <(ip -o link | grep -oE "^[0-9]+: ($CCOS_NETNS|cilium_[a-z]+|lxc[0-9a-f]+)[@:]" || true)
lines route < <(ip route | grep -E '^10\.24[45]\.' || true)
for folder in /sys/fs/cgroup/"$CCOS_NETNS" /sys/fs/cgroup/*/"$CCOS_NETNS" "$CCOS_CLUSTER"/run "$CCOS_CLUSTER"/sys; do
    if [[ -e $folder ]]; then trace folder "$folder"; fi
done
exit "$found"
