#!/usr/bin/env bash
# Packs the binary as krew wants it, and prints the plug-in's manifest for that archive.
# Usage: operator/cli/krew/render.sh VERSION BINARY URI ARCHIVE
#   VERSION  of the release, such as 0.1.0
#   BINARY   `ccos`, built static for linux/amd64
#   URI      where ARCHIVE will be found
#   ARCHIVE  the .tar.gz to write
set -euo pipefail
die() { echo "$*" >&2; exit 1; }

(( $# == 4 )) || die "usage: render.sh VERSION BINARY URI ARCHIVE"
version=$1 binary=$2 uri=$3 archive=$4
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || die "$version: expected a version such as 0.1.0, without a v"
[[ $uri =~ ^https://[^[:space:]\&\|\\]+$ ]] || die "$uri: expected an https address"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
install -m 755 "$binary" "$folder/kubectl-ccos"
install -m 644 "$here/../../../LICENSE" "$folder/LICENSE"
# Without times and owners: the same binary gives the same digest.
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder" -cf - kubectl-ccos LICENSE | gzip -n > "$archive"
digest=$(sha256sum "$archive" | cut -d' ' -f1)
grep -v '^#' "$here/ccos.yaml" | sed -e "s|{{VERSION}}|$version|" -e "s|{{URI}}|$uri|" -e "s|{{SHA256}}|$digest|"
