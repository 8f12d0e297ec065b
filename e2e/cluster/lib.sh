# Folders, versions and small helpers shared by the scripts of this folder (sourced, not run).
# shellcheck shell=bash disable=SC2034
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=versions.env
. "$here/versions.env"

CCOS_TOOLS=${CCOS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/ccos/tools} # built tools: bin/, src/, stamp/, log/
CCOS_CLUSTER=${CCOS_CLUSTER:-/var/lib/ccos-e2e}                      # state of the one cluster
CCOS_NETNS=${CCOS_NETNS:-ccos-e2e}                                   # its network namespace (and cgroup) name

export PATH=$CCOS_TOOLS/bin:$PATH:/usr/sbin:/sbin
export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1 # of cgroup v1, at every call of ctr

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# packages NAME... - installs the Debian packages that are missing.
packages() {
    local need=() p
    for p; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || need+=("$p")
    done
    (( ${#need[@]} )) || return 0
    say "apt: ${need[*]}"
    apt-get -q update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${need[@]}" >&2
}

# True where this process may raise limits and lower OOM scores; some sandboxes drop this capability from root.
has_cap_sys_resource() { (( 0x$(awk '/^CapEff/ {print $2}' /proc/self/status) >> 24 & 1 )); }

# wait_for SECONDS WHAT COMMAND... - polls the command until it succeeds.
wait_for() {
    local limit=$1 what=$2 end
    shift 2
    end=$(( SECONDS + limit ))
    until "$@" >/dev/null 2>&1; do
        (( SECONDS < end )) || die "$what: not ready after ${limit}s"
        sleep 0.3
    done
}

# The first process of the cluster, while it runs: its pid here, checked by its start time against a reused pid.
init_pid() {
    local pid start stat
    read -r pid start 2>/dev/null <"$CCOS_CLUSTER/run/init" || return 1
    read -ra stat 2>/dev/null <"/proc/$pid/stat" || return 1
    [[ ${stat[21]} == "$start" ]] && echo "$pid"
}
running() { init_pid >/dev/null; }

# inside COMMAND... - runs a command in the cluster's network, mount and pid namespaces.
inside() { nsenter --target "$(init_pid)" --net --mount --pid -- "$@"; }

kubectl() { "$CCOS_TOOLS/bin/kubectl" --kubeconfig "$CCOS_CLUSTER/kubeconfig" "$@"; }
