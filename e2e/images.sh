#!/usr/bin/env bash
# Builds the operator and the images of the examples, pushes them into the registry of the running cluster, and writes their
# digests to $CCOS_CLUSTER/images.env (shell syntax), which it prints.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

running || die "the cluster is not up: run e2e/cluster/up.sh"
need_rust
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- the operator -------------------------------------------------------------------------------------------------
say "build the operator"
# --target, even though it is the host's: otherwise the flags hit build scripts and procedural macros, which can't be static.
(cd "$root" && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target x86_64-unknown-linux-gnu \
    -p ccos-controller -p ccos-webhook -p ccos-egress -p ccos-runner -p ccos-cli) >&2
(cd "$root" && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target x86_64-unknown-linux-gnu \
    -p ccos-runner --example attack) >&2
for name in ccos-controller ccos-webhook ccos-egress ccos-runner; do
    [[ -x $release/$name ]] || die "no $release/$name was built"
    if readelf --program-headers --wide "$release/$name" | grep -q INTERP; then die "$name is not static"; fi
done

# Nothing but the runner, and the folders on which it mounts: an empty image has no shell that an exec could start.
runner_root() {
    local root=$work/runner
    mkdir -p "$root"/{ccos/{profile,image,volumes,references,egress,view},proc,dev,sys,tmp,etc}
    find "$root" -type d -exec chmod 755 {} +
    chmod 1777 "$root/tmp"
    install -m 755 "$release/ccos-runner" "$root/ccos-runner"
    echo "$root"
}

# The controller asks registries: it brings the authorities that it believes, as an image from nothing has to.
controller_root() {
    local root=$work/controller
    packages ca-certificates
    mkdir -p "$root/etc/ssl/certs"
    install -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    install -m 755 "$release/ccos-controller" "$root/ccos-controller"
    find "$root" -type d -exec chmod 755 {} +
    echo "$root"
}

# What attacks from inside: a static program, and what it must not reach.
attack_root() {
    local root=$work/attack
    mkdir -p "$root"/{app,etc,tmp}
    install -m 755 "$release/examples/attack" "$root/app/attack"
    install -m 755 "$release/examples/attack" "$root/app/other"
    echo image >"$root/secret"
    echo image >"$root/etc/shadow"
    echo image >"$root/etc/visible"
    ln -s ../secret "$root/etc/alias"
    ln -s /proc/1/root/ccos/profile "$root/etc/escape"
    # Where a mount would follow it.
    mkdir -p "$root/usr/lib/moved"
    ln -s /usr/lib/moved "$root/moved"
    find "$root" -type d -exec chmod 755 {} +
    echo "$root"
}

# --- push -----------------------------------------------------------------------------------------------------------
push() { # NAME SOURCE [OPTION...]
    "$root/e2e/cluster/image.sh" --push "$registry/$1:e2e" "${@:2}"
}

controller=$(push ccos/controller "$(controller_root)" --user 65532 --entrypoint /ccos-controller)
webhook=$(push ccos/webhook "$release/ccos-webhook" --user 65532)
egress=$(push ccos/egress "$release/ccos-egress" --user 65532)
runner=$(push ccos/runner "$(runner_root)" --user 1000 --entrypoint /ccos-runner)
python=$(push examples/python "$("$root/e2e/python.sh")" --user 1000)
attack=$(push test/attack "$(attack_root)" --user 1000)
languages=$(push test/languages "$("$root/e2e/languages.sh")" --user 1000)
postgres=$("$root/e2e/languages.sh" --postgres)
busybox=$(push examples/busybox "$CCOS_TOOLS/rootfs/busybox" --user 1000)
cat >"$images" <<ENV
CCOS_CONTROLLER_IMAGE=$controller
CCOS_WEBHOOK_IMAGE=$webhook
CCOS_EGRESS_IMAGE=$egress
CCOS_RUNNER_IMAGE=$runner
CCOS_PYTHON_IMAGE=$python
CCOS_BUSYBOX_IMAGE=$busybox
CCOS_ATTACK_IMAGE=$attack
CCOS_LANGUAGES_IMAGE=$languages
CCOS_POSTGRES=$postgres
CCOS_CLI=$release/ccos
ENV
cat "$images"
