# What the scripts of this folder share (sourced, not run). They act on the cluster of cluster/, never on whatever cluster the
# current context names.
# shellcheck shell=bash disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=cluster/lib.sh
. "$root/e2e/cluster/lib.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/ccos
# Outside the clone, so that the next clone finds the dependencies built; cargo itself keys them by version, features and flags.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export KUBECONFIG=$CCOS_CLUSTER/kubeconfig
registry=10.245.0.2:5000
images=$CCOS_CLUSTER/images.env
release=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release

# The toolchain that rust-toolchain.toml names. Debian's own rustc is too old.
need_rust() {
    if [[ -d $HOME/.cargo/bin ]]; then PATH=$HOME/.cargo/bin:$PATH; fi
    packages gcc libc6-dev binutils
    if ! command -v cargo >/dev/null; then
        apt-cache show rustup >/dev/null 2>&1 || die "no cargo, and this Debian has no package rustup: install rustup, then run this again"
        packages rustup
    fi
    (cd "$root" && cargo --version >/dev/null) || die "cargo can't provide the toolchain of rust-toolchain.toml (see above)"
    # Cargo takes what another clone built for its own, with that clone's path in it: tests would look for their files there.
    if [[ $(cat "$CARGO_TARGET_DIR/clone" 2>/dev/null) != "$root" ]]; then
        mkdir -p "$CARGO_TARGET_DIR"
        find "$root" -name '*.rs' -not -path '*/target/*' -exec touch {} +
        echo "$root" >"$CARGO_TARGET_DIR/clone"
    fi
}
