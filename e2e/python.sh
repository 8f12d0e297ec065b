#!/usr/bin/env bash
# Assembles the root file system of the example's image: Debian's python3 and the libraries that it needs, from Debian's packages.
# Prints its folder; the same packages give the same folder, which is made once.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

apt_() { apt-get -qq -o APT::Sandbox::User=root "$@"; }

# The packages that Python needs to run: libraries and itself; not what only configures an installed system (debconf, perl).
python_packages() {
    local known="" frontier=python3
    while [[ $frontier ]]; do # a level of dependencies at a time: apt-cache takes long to start
        known=$(sort -u <<<"$known"$'\n'"$frontier" | grep .)
        # shellcheck disable=SC2086
        frontier=$(apt-cache depends --no-recommends --no-suggests $frontier |
            sed -nE 's/^ *(Pre)?Depends: ((lib|zlib|python3).*)/\2/p' | sort -u | grep -vxF "$known" || true)
    done
    echo "$known"
}

assemble() { # FOLDER PACKAGE...
    local folder=$1 part=$1.part name package
    shift
    rm -rf "${folder%-*}"-*.part
    mkdir -p "$part"/{root,packages}
    (cd "$part/packages" && apt_ download "$@" >&2)
    mkdir -p "$part"/root/{usr/{bin,sbin,lib,lib64},etc,tmp,proc,dev,sys}
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$part/root/$name"; done # packages rely on merged /usr
    for package in "$part"/packages/*.deb; do
        # Not dpkg-deb -x, which would put a folder in the place of such a link.
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$part/root"
    done
    rm -rf "$part"/root/usr/share/{doc,man,lintian,bug,locale}
    chmod 1777 "$part/root/tmp"
    # A read-only image can't keep what Python compiles, and would compile at each start. Hashes instead of times, since the image
    # has none.
    chroot "$part/root" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3* >&2
    chroot "$part/root" /usr/bin/python3 -c 'import csv, ctypes, hashlib, json, sqlite3, ssl, statistics'
    mv "$part/root" "$folder"
    rm -rf "$part"
}

if ! apt-cache show python3 >/dev/null 2>&1; then apt-get -q update >&2; fi
mapfile -t names < <(python_packages)
uris=$(apt_ download --print-uris "${names[@]}")
# Of the packages with their versions, and of what is done to them.
key=$( { cut -d' ' -f2- <<<"$uris"; declare -f assemble; } | sha256sum | cut -c1-16)
folder=$cache/roots/python-$key
if [[ ! -e $folder ]]; then
    say "assemble Debian's python3 (${#names[@]} packages)"
    assemble "$folder" "${names[@]}"
fi
echo "$folder"
