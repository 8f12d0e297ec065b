#!/usr/bin/env bash
# Starts the single-node cluster in its own network, mount and pid namespaces, and waits until it is ready.
# Idempotent: what already runs is left alone, what died is started again. Builds what is missing (build.sh). Needs root.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export CCOS_TOOLS CCOS_CLUSTER CCOS_NETNS

bin=$CCOS_TOOLS/bin state=$CCOS_CLUSTER pki=$CCOS_CLUSTER/pki etc=$CCOS_CLUSTER/etc
node=node1
host_ip=10.245.0.1 node_ip=10.245.0.2 world_ips="10.245.0.11 10.245.0.12"
pod_cidr=10.244.0.0/16 service_cidr=10.96.0.0/16 service_ip=10.96.0.1 dns_ip=10.96.0.10
server=https://$node_ip:6443

(( EUID == 0 )) || die "needs root"
"$here/build.sh"
# Only now: Go may be anywhere, but what the cluster runs is what was built, and Debian's.
export PATH=$bin:/usr/lib/llvm-$LLVM_MAJOR/bin:/usr/sbin:/usr/bin:/sbin:/bin
running || [[ ! -e $state/run ]] || "$here/down.sh" # what a cluster that died left behind
mkdir -p "$state"/{run,log,etcd,kubelet,registry} "$pki" "$etc"/{cni,registries}

# --- cgroups: one tree of our own in each hierarchy ------------------------------------------------------------
make_cgroups() {
    local c d
    mountpoint -q /sys/fs/cgroup || die "no cgroups at /sys/fs/cgroup"
    if [[ $(stat -fc %T /sys/fs/cgroup) != cgroup2fs ]]; then
        for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
            grep -q " /sys/fs/cgroup/[^ ]* cgroup [^ ]*\b$c\b" /proc/mounts && continue
            mkdir -p "/sys/fs/cgroup/$c"
            mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c"
            echo "/sys/fs/cgroup/$c" >>"$state/run/cgroup-mounts"
        done
    fi
    for c in /sys/fs/cgroup/*/; do
        for d in "$c$CCOS_NETNS" "$c$CCOS_NETNS/system"; do
            mkdir -p "$d"
            [[ -e $d/cpuset.cpus && -z $(cat "$d/cpuset.cpus") ]] || continue
            cat "$d/../cpuset.cpus" >"$d/cpuset.cpus"
            cat "$d/../cpuset.mems" >"$d/cpuset.mems"
        done
    done
}

# --- namespaces and the one link between the machine and the cluster --------------------------------------------
make_sandbox() {
    local pid ip
    sysctl kernel.panic kernel.panic_on_oops kernel.timer_migration vm.overcommit_memory vm.panic_on_oom \
        kernel.keys.root_maxkeys kernel.keys.root_maxbytes >"$state/run/sysctls" # kubelet and Cilium set these
    rm -f "$state/run/init" "$state"/run/*.pid "$etc"/cni/*
    # What this makes on the machine's file system, for down.sh to take back, and only if it was not there before.
    [[ -e /var/lib/kubelet ]] || touch "$state/run/kubelet-folder"
    mountpoint -q /run/netns || touch "$state/run/netns-mount"
    setsid unshare --net --mount --pid --fork "$here/sandbox.sh" >"$state/log/sandbox.log" 2>&1 </dev/null &
    wait_for 10 "namespaces (see $state/log/sandbox.log)" running
    pid=$(init_pid)
    ip netns attach "$CCOS_NETNS" "$pid"
    ip link add "$CCOS_NETNS" mtu 1400 type veth peer name eth0 mtu 1400 netns "$pid"
    for ip in $host_ip $world_ips; do ip addr add "$ip/24" dev "$CCOS_NETNS"; done
    ip link set "$CCOS_NETNS" up
    ip -n "$CCOS_NETNS" addr add "$node_ip/24" dev eth0
    ip -n "$CCOS_NETNS" link set eth0 up
    ip -n "$CCOS_NETNS" route add default via "$host_ip"
    ip route add "$pod_cidr" via "$node_ip" # so that pods reach (only) this machine, unmasqueraded
}

# --- certificates and kubeconfigs -------------------------------------------------------------------------------
make_pki() {
    [[ -e $pki/done ]] && return 0
    local name
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/ca.key"
    openssl req -x509 -new -key "$pki/ca.key" -days 3650 -subj /CN=ccos-e2e-ca -out "$pki/ca.crt"
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
    openssl ec -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
    cert apiserver /CN=kube-apiserver serverAuth "IP:127.0.0.1,IP:$node_ip,IP:$service_ip,DNS:localhost,DNS:kubernetes,\
DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    cert admin /O=system:masters/CN=admin
    cert apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
    cert front-proxy /CN=front-proxy
    cert controller-manager /CN=system:kube-controller-manager
    cert scheduler /CN=system:kube-scheduler
    cert proxy /CN=system:kube-proxy
    cert cilium /O=system:masters/CN=cilium
    cert kubelet "/O=system:nodes/CN=system:node:$node"
    for name in admin controller-manager scheduler proxy cilium kubelet; do kubeconfig "$name"; done
    install -m 600 "$etc/admin.kubeconfig" "$state/kubeconfig"
    touch "$pki/done"
}
cert() { # NAME SUBJECT [USAGE [NAMES]]
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/$1.key"
    openssl req -new -key "$pki/$1.key" -subj "$2" |
        openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 3650 -out "$pki/$1.crt" \
            -extfile <(echo "extendedKeyUsage=${3:-clientAuth}"; echo "${4:+subjectAltName=$4}") 2>/dev/null
}
kubeconfig() { # NAME
    cat >"$etc/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "$server", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$pki/$1.crt"), client-key-data: $(base64 -w0 "$pki/$1.key")}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
YAML
}

# --- configuration files ----------------------------------------------------------------------------------------
put() { # FILE - writes standard input to it, if it differs (kube-proxy ends when its configuration is touched)
    local text
    text=$(cat)
    [[ -e $1 && $(<"$1") == "$text" ]] || echo "$text" >"$1"
}
make_config() {
    local restrict=false
    has_cap_sys_resource || restrict=true # a root without CAP_SYS_RESOURCE may not lower OOM scores
    put "$etc/runsc.toml" <<TOML
binary_name = "$bin/runsc"
[runsc_config]
platform = "systrap"
TOML
    mkdir -p "$etc/registries/$node_ip:5000"
    put "$etc/registries/$node_ip:5000/hosts.toml" <<<"server = \"http://$node_ip:5000\""
    put "$etc/containerd.toml" <<TOML
version = 3
root = "$state/containerd"
state = "/run/containerd"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "e2e.local/pause:1"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = "$etc/registries"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = $restrict
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["$bin/cni"]
conf_dir = "$etc/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "$bin/runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runsc]
runtime_type = "io.containerd.runsc.v1"
pod_annotations = ["dev.gvisor.*"]
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runsc.options]
TypeUrl = "io.containerd.runsc.v1.options"
ConfigPath = "$etc/runsc.toml"
TOML
    put "$etc/resolv.conf" <<<"nameserver $host_ip"
    put "$etc/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$pki/ca.crt"}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CCOS_NETNS
failCgroupV1: false
enforceNodeAllocatable: []
failSwapOn: false
clusterDNS: [$dns_ip]
clusterDomain: cluster.local
resolvConf: $etc/resolv.conf
volumePluginDir: $state/kubelet/volume-plugins
serializeImagePulls: false
# Otherwise an image that was once pulled from the registry is "not present" under a name by which it was only imported.
imagePullCredentialsVerificationPolicy: NeverVerify
evictionHard: {memory.available: 200Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
YAML
    put "$etc/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: "$etc/proxy.kubeconfig"}
mode: nftables
clusterCIDR: $pod_cidr
hostnameOverride: $node
# The machine-wide conntrack limits are not ours to set (and are read-only in a network namespace).
conntrack: {maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
YAML
}

# --- daemons ----------------------------------------------------------------------------------------------------
alive() { [[ -s $state/run/$1.pid ]] && inside kill -0 "$(cat "$state/run/$1.pid")" 2>/dev/null; }
daemon() { # NAME COMMAND... - starts it inside, in our cgroup, unless it runs
    local name=$1
    shift
    alive "$name" && return 0
    say "start $name"
    # shellcheck disable=SC2016
    setsid nsenter --target "$(init_pid)" --net --mount --pid -- bash -c '
        for c in /sys/fs/cgroup/*/"$1"/system/cgroup.procs; do echo 0 >"$c"; done
        echo $$ >"$2"; shift 2; exec "$@"' - "$CCOS_NETNS" "$state/run/$name.pid" "$@" \
        >>"$state/log/$name.log" 2>&1 </dev/null &
}
image() { # NAME SOURCE - imports it, unless that was done since the source was built
    local stamp=$state/containerd/image-$1
    [[ $stamp -nt $2 ]] && return 0
    "$here/image.sh" "e2e.local/$1:1" "$2" >/dev/null
    touch "$stamp"
}
node_ready() { [[ $(kubectl get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]; }

make_cgroups
running || make_sandbox
make_pki
make_config

daemon containerd "$bin/containerd" --config "$etc/containerd.toml"
daemon etcd "$bin/etcd" --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
# NodeRestriction is added to the default admission plugins (PodSecurity, Priority, ResourceQuota, RuntimeClass, webhooks);
# it does not replace them.
daemon kube-apiserver "$bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379 \
    --advertise-address "$node_ip" --secure-port 6443 --allow-privileged --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction --service-cluster-ip-range "$service_cidr" \
    --audit-policy-file "$here/manifests/audit.yaml" --audit-log-path "$state/log/audit.log" \
    --audit-log-maxsize 32 --audit-log-maxbackup 2 \
    --client-ca-file "$pki/ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
    --kubelet-client-certificate "$pki/apiserver-kubelet.crt" --kubelet-client-key "$pki/apiserver-kubelet.key" \
    --kubelet-preferred-address-types InternalIP \
    --requestheader-client-ca-file "$pki/ca.crt" --requestheader-allowed-names front-proxy \
    --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
    --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$pki/front-proxy.crt" --proxy-client-key-file "$pki/front-proxy.key"
daemon registry env REGISTRY_HTTP_ADDR="$node_ip:5000" REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="$state/registry" \
    REGISTRY_STORAGE_DELETE_ENABLED=true OTEL_TRACES_EXPORTER=none "$bin/registry" serve "$here/manifests/registry.yaml"

wait_for 30 containerd inside "$bin/ctr" version
image pause "$bin/pause"
image busybox "$CCOS_TOOLS/rootfs/busybox"
image coredns "$bin/coredns"

wait_for 60 kube-apiserver kubectl get --raw /readyz
daemon kube-controller-manager "$bin/kube-controller-manager" --kubeconfig "$etc/controller-manager.kubeconfig" \
    --authentication-kubeconfig "$etc/controller-manager.kubeconfig" --authorization-kubeconfig "$etc/controller-manager.kubeconfig" \
    --use-service-account-credentials --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --allocate-node-cidrs --cluster-cidr "$pod_cidr" --service-cluster-ip-range "$service_cidr" --leader-elect=false
daemon kube-scheduler "$bin/kube-scheduler" --kubeconfig "$etc/scheduler.kubeconfig" --leader-elect=false \
    --authentication-kubeconfig "$etc/scheduler.kubeconfig" --authorization-kubeconfig "$etc/scheduler.kubeconfig"
daemon kubelet "$bin/kubelet" --config "$etc/kubelet.yaml" --kubeconfig "$etc/kubelet.kubeconfig" \
    --hostname-override "$node" --node-ip "$node_ip"
daemon kube-proxy "$bin/kube-proxy" --config "$etc/kube-proxy.yaml"
kubectl apply --server-side --force-conflicts -f "$CCOS_TOOLS/cilium/crds" -f "$here/manifests/cluster.yaml" >"$state/log/apply.log" 2>&1
# TMPDIR on another file system: else the agent renames the CNI configuration from there into its folder, which containerd
# sees as a mere "create" event and ignores.
daemon cilium-agent env TMPDIR=/run K8S_NODE_NAME="$node" "$bin/cilium-agent" --k8s-kubeconfig-path "$etc/cilium.kubeconfig" \
    --lib-dir "$CCOS_TOOLS/cilium" --state-dir /run/cilium --write-cni-conf-when-ready "$etc/cni/05-cilium.conflist" \
    --ipam kubernetes --routing-mode native --ipv4-native-routing-cidr "$pod_cidr" --enable-ipv4-masquerade=false \
    --kube-proxy-replacement=false --enable-ipv6=false --enable-hubble=false --enable-health-checking=false \
    --enable-endpoint-health-checking=false --cgroup-root /sys/fs/cgroup/unified --identity-allocation-mode crd \
    --external-envoy-proxy=false --enable-xt-socket-fallback=false --devices eth0 --direct-routing-device eth0

wait_for 180 "Cilium (see $state/log/cilium-agent.log)" test -s "$etc/cni/05-cilium.conflist"
wait_for 60 "node (see $state/log/kubelet.log)" node_ready
kubectl get runtimeclass gvisor kata >/dev/null
wait_for 60 "cluster DNS" inside "$CCOS_TOOLS/rootfs/busybox/bin/busybox" nslookup kubernetes.default.svc.cluster.local "$dns_ip"
say "cluster is ready after ${SECONDS}s"
echo "KUBECONFIG=$state/kubeconfig"
