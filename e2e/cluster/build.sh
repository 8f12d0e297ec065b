#!/usr/bin/env bash
# Builds every tool of the cluster from Go modules and Debian packages, once. A tool whose stamp names the pinned
# version is skipped. Usage: build.sh [TOOL...]   (no argument: all of them)
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bin=$CCOS_TOOLS/bin src=$CCOS_TOOLS/src stamps=$CCOS_TOOLS/stamp logs=$CCOS_TOOLS/log
mkdir -p "$bin" "$src" "$stamps" "$logs"
export GOFLAGS="-buildvcs=false -trimpath" CGO_ENABLED=0 GOWORK=off

# Go 1.21 or newer fetches the version that go.mod asks for by itself; Debian 13 has one, Debian 12 has not.
need_go() {
    command -v go >/dev/null || packages golang-go
    [[ $(go env GOVERSION) =~ ^go1\.(2[1-9]|[3-9][0-9]) ]] || die "$(go env GOVERSION) is too old: install Go 1.21 or newer"
}

# workspace NAME MODULE@VERSION [LINE...] - an own go.mod requiring one module, with extra go.mod lines.
workspace() {
    local dir=$src/$1 module=${2%@*} version=${2#*@}
    shift 2
    rm -rf "$dir"
    mkdir -p "$dir"
    { printf 'module ccos.tools/build\n\ngo 1.26.0\n\nrequire %s %s\n' "$module" "$version"
      printf '%s\n' "$@"; } >"$dir/go.mod"
    cd "$dir"
}

module_dir() { go mod download -json "$1" | jq -r .Dir; }

# compile OUT PACKAGE [FLAG...] - builds one command; -mod=mod lets go complete go.mod and go.sum as it goes.
compile() {
    local out=$1 package=$2
    shift 2
    say "compile $out"
    go build -mod=mod -ldflags "-s -w" "$@" -o "$bin/$out" "$package"
}

build_runc() {
    workspace runc "github.com/opencontainers/runc@$RUNC_VERSION"
    CGO_ENABLED=1 compile runc github.com/opencontainers/runc -tags seccomp \
        -ldflags "-s -w -X main.version=${RUNC_VERSION#v}"
}

build_cni() {
    workspace cni "github.com/containernetworking/plugins@$CNI_PLUGINS_VERSION"
    local p
    for p in main/loopback main/bridge ipam/host-local meta/portmap meta/bandwidth; do
        compile "cni/${p#*/}" "github.com/containernetworking/plugins/plugins/$p"
    done
}

build_containerd() {
    workspace containerd "github.com/containerd/containerd/v2@$CONTAINERD_VERSION"
    local c version=github.com/containerd/containerd/v2/version
    for c in containerd containerd-shim-runc-v2 ctr; do
        compile "$c" "github.com/containerd/containerd/v2/cmd/$c" -tags no_btrfs,no_devmapper,no_zfs \
            -ldflags "-s -w -X $version.Version=$CONTAINERD_VERSION"
    done
}

build_etcd() {
    workspace etcd "go.etcd.io/etcd/server/v3@$ETCD_VERSION"
    compile etcd go.etcd.io/etcd/server/v3
}

build_kubernetes() {
    # Its staging modules are replaced by folders in its own go.mod: pin each to the published module instead.
    local gomod c version=k8s.io/component-base/version replaces
    gomod=$(go mod download -json "k8s.io/kubernetes@$KUBERNETES_VERSION" | jq -r .GoMod)
    replaces=$(sed -n "s|^[[:space:]]*\(replace \)\?\(k8s.io/[^ ]*\) => ./staging/.*|replace \2 => \2 $KUBERNETES_STAGING_VERSION|p" "$gomod")
    workspace kubernetes "k8s.io/kubernetes@$KUBERNETES_VERSION" "$replaces"
    for c in kubectl kubelet kube-scheduler kube-controller-manager kube-proxy kube-apiserver; do
        compile "$c" "k8s.io/kubernetes/cmd/$c" -ldflags "-s -w -X $version.gitVersion=$KUBERNETES_VERSION \
            -X $version.gitMajor=1 -X $version.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")"
    done
}

build_gvisor() {
    workspace gvisor "gvisor.dev/gvisor@$GVISOR_VERSION"
    compile runsc gvisor.dev/gvisor/runsc
    local flags=()
    if ! has_cap_sys_resource; then
        # The shim sets its own OOM score to -999, which a root without CAP_SYS_RESOURCE may not do: every pod would
        # fail to start. Only there, build it from a vendored copy that leaves the score at 0.
        printf '//go:build tools\n\npackage build\n\nimport _ "gvisor.dev/gvisor/shim"\n' >tools.go
        go mod tidy -e
        go mod vendor -e
        sed -i 's/oomScoreMax = -999/oomScoreMax = 0/' vendor/gvisor.dev/gvisor/pkg/shim/v1/manager.go
        grep -q 'oomScoreMax = 0' vendor/gvisor.dev/gvisor/pkg/shim/v1/manager.go || die "the gVisor shim changed: no oomScoreMax"
        flags=(-mod=vendor)
    fi
    compile containerd-shim-runsc-v1 gvisor.dev/gvisor/shim "${flags[@]}"
}

build_cilium() {
    # Agent and CNI plugin only: the operator needs sigs.k8s.io/mcs-api/controllers, which that module does not hold.
    local dir
    dir=$(module_dir "github.com/cilium/cilium@$CILIUM_VERSION")
    workspace cilium "github.com/cilium/cilium@$CILIUM_VERSION" \
        "replace github.com/osrg/gobgp/v4 => github.com/osrg/gobgp/v4 $GOBGP_VERSION"
    install -m 644 "$dir/go.sum" go.sum
    printf '//go:build tools\n\npackage build\n\nimport (\n\t_ "github.com/cilium/cilium/daemon"\n\t_ "github.com/cilium/cilium/plugins/cilium-cni"\n)\n' >tools.go
    go mod tidy -e
    compile cilium-agent github.com/cilium/cilium/daemon \
        -ldflags "-s -w -X github.com/cilium/cilium/pkg/version.ciliumVersion=${CILIUM_VERSION#v}"
    compile cni/cilium-cni github.com/cilium/cilium/plugins/cilium-cni
    # What the agent compiles at run time, and the schemas that the missing operator would install.
    rm -rf "$CCOS_TOOLS/cilium"
    mkdir -p "$CCOS_TOOLS/cilium/crds"
    cp -r "$dir/bpf" "$CCOS_TOOLS/cilium/bpf"
    cp "$dir"/pkg/k8s/apis/cilium.io/client/crds/v2*/*.yaml "$CCOS_TOOLS/cilium/crds/"
    chmod -R u+w "$CCOS_TOOLS/cilium"
}

build_coredns() {
    workspace coredns "github.com/coredns/coredns@$COREDNS_VERSION"
    compile coredns github.com/coredns/coredns
}

build_registry() {
    workspace registry "github.com/distribution/distribution/v3@$DISTRIBUTION_VERSION"
    compile registry github.com/distribution/distribution/v3/cmd/registry
}

build_helm() {
    workspace helm "helm.sh/helm/v4@$HELM_VERSION"
    compile helm helm.sh/helm/v4/cmd/helm
}

build_pause() {
    gcc -Os -static -Wall -Wextra -Werror -o "$bin/pause" "$here/pause.c"
}

build_busybox() { # a root file system for tests: one static busybox and its links
    local root=$CCOS_TOOLS/rootfs/busybox
    rm -rf "$root"
    mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,etc,tmp,proc,sys,dev,root,home/user}
    chmod 1777 "$root/tmp"
    install -m 755 "$(dpkg -L busybox-static | grep -m1 '/busybox$')" "$root/bin/busybox"
    "$root/bin/busybox" --list | grep -vx busybox |
        while read -r name; do ln -s busybox "$root/bin/$name"; done
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
}

# once TOOL PIN - runs build_TOOL unless its stamp says that this pin is built.
once() {
    local tool=$1 pin=$2 started=$SECONDS
    [[ $(cat "$stamps/$tool" 2>/dev/null) == "$pin" ]] && return 0
    need_go
    say "build $tool $pin (log: $logs/$tool.log)"
    local rc=0
    set +e # not "( ... ) || die": a condition would switch errexit off inside
    ( set -e; "build_$tool" ) >"$logs/$tool.log" 2>&1
    rc=$?
    set -e
    (( rc == 0 )) || { tail -20 "$logs/$tool.log" >&2; die "build of $tool failed"; }
    echo "$pin" >"$stamps/$tool"
    say "built $tool in $(( SECONDS - started ))s"
}

packages gcc libc6-dev libseccomp-dev busybox-static "clang-$LLVM_MAJOR" "llvm-$LLVM_MAJOR" \
    iproute2 iptables nftables ipset conntrack kmod openssl jq python3 procps util-linux
declare -A pins=(
    [pause]=$(cksum <"$here/pause.c") [busybox]=$(dpkg-query -W -f '${Version}' busybox-static)
    [runc]=$RUNC_VERSION [cni]=$CNI_PLUGINS_VERSION [containerd]=$CONTAINERD_VERSION
    [etcd]=$ETCD_VERSION [kubernetes]=$KUBERNETES_VERSION [gvisor]=$GVISOR_VERSION [coredns]=$COREDNS_VERSION
    [registry]=$DISTRIBUTION_VERSION [cilium]=$CILIUM_VERSION+$GOBGP_VERSION [helm]=$HELM_VERSION
)
all=(pause busybox runc cni containerd etcd kubernetes gvisor coredns registry cilium helm)
(( $# )) || set -- "${all[@]}"
for tool; do
    [[ -n ${pins[$tool]:-} ]] || die "unknown tool $tool (one of: ${all[*]})"
    once "$tool" "${pins[$tool]}"
done
say "tools are in $bin (${SECONDS}s)"
