# Root file systems of images from Debian's packages, not installed on this machine (sourced, not run).
# shellcheck shell=bash disable=SC2154

apt_() { apt-get -qq -o APT::Sandbox::User=root "$@"; }

# closure NEEDED PACKAGE... - prints package=version of these and of what they need to run, as far as its name matches NEEDED: not
# what only configures an installed system (debconf, perl).
closure() {
    local needed=$1 known="" frontier memo
    shift
    if ! apt-cache show libc6 >/dev/null 2>&1; then apt-get -q update >&2; fi
    # Asking apt takes seconds, and its answer changes with its lists.
    memo=$cache/closures/$( { echo "$needed" "$@"; stat -c '%n %Y' /var/lib/apt/lists/*; declare -f closure versions; } | sha256sum | cut -c1-16)
    if [[ ! -e $memo ]]; then
        mkdir -p "${memo%/*}"
        frontier=$(versions "$@")
        while [[ $frontier ]]; do # a level of dependencies at a time: apt-cache takes long to start
            known=$(sort -u <<<"$known"$'\n'"$frontier" | grep .)
            # shellcheck disable=SC2086
            frontier=$(apt-cache depends --no-recommends --no-suggests $frontier |
                sed -nE "s/^ *\|?(Pre)?Depends: ($needed)\$/\2/p" | sort -u | grep -vxFf <(cut -d= -f1 <<<"$known") || true)
            # shellcheck disable=SC2086
            if [[ $frontier ]]; then frontier=$(versions $frontier); fi
        done
        echo "$known" >"$memo.part"
        mv "$memo.part" "$memo"
    fi
    cat "$memo"
}

# versions PACKAGE... - prints package=version: the newest that can be fetched, which may be another than this machine has.
versions() {
    apt-cache madison "$@" | awk '!seen[$1]++ {print $1 "=" $3}'
}

# unpack ROOT PACKAGE=VERSION... - into a new folder.
unpack() {
    local into=$1 name package
    shift
    mkdir -p "$into.packages"
    (cd "$into.packages" && apt_ download "$@" >&2)
    mkdir -p "$into"/{usr/{bin,sbin,lib,lib64},etc,tmp,proc,dev,sys}
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$into/$name"; done # packages rely on merged /usr
    for package in "$into.packages"/*.deb; do
        # Not dpkg-deb -x, which would put a folder in the place of such a link.
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$into"
    done
    rm -rf "$into.packages" "$into"/usr/share/{doc,man,lintian,bug,locale}
    chmod 1777 "$into/tmp"
}
