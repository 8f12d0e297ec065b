#!/usr/bin/env bash
# Assembles the root file system of the example's image: Debian's python3 and the libraries that it needs, from Debian's packages.
# Prints its folder; the same packages give the same folder, which is made once.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=debian.sh
. "$root/e2e/debian.sh"

assemble() { # FOLDER PACKAGE...
    local folder=$1 part=$1.part
    shift
    rm -rf "${folder%-*}"-*.part
    mkdir -p "$part"
    unpack "$part/root" "$@"
    # A read-only image can't keep what Python compiles, and would compile at each start. Hashes instead of times, since the image
    # has none.
    chroot "$part/root" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3* >&2
    chroot "$part/root" /usr/bin/python3 -c 'import csv, ctypes, hashlib, json, sqlite3, ssl, statistics'
    mv "$part/root" "$folder"
    rm -rf "$part"
}

names=$(closure '(lib|zlib|python3).*' python3)
# Of the packages with their versions, and of what is done to them.
key=$( { echo "$names"; declare -f assemble unpack; } | sha256sum | cut -c1-16)
folder=$cache/roots/python-$key
if [[ ! -e $folder ]]; then
    say "assemble Debian's python3 ($(wc -l <<<"$names") packages)"
    # shellcheck disable=SC2086
    assemble "$folder" $names
fi
echo "$folder"
