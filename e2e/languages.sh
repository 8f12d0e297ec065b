#!/usr/bin/env bash
# Assembles the root file system of the image in which languages do their honest work (tests/languages.rs) and clients of the network
# theirs (tests/clients.rs): Debian's Python, Node, curl, git and psql, a Java of only the modules that are used, the cluster's static
# busybox, static programs in Go and Rust, and the programs of programs/. Prints its folder; the same input gives the same folder,
# which is made once. With --postgres that of a PostgreSQL server, which tests start on this machine.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=debian.sh
. "$root/e2e/debian.sh"

busybox=$CCOS_TOOLS/rootfs/busybox/bin/busybox
programs=$root/e2e/programs

# The newest that this Debian has.
java_package() {
    apt-cache depends default-jdk-headless | sed -nE 's/^ *Depends: (openjdk-[0-9]+-jdk-headless)$/\1/p'
}

# A whole Java is half of the image, and would be most of the test's time.
java() { # ROOT
    local home
    packages "$(java_package)"
    home=$(dirname "$(dirname "$(dpkg -L "$(java_package)" | grep '/bin/javac$')")")
    "$home/bin/jlink" --add-modules java.base,java.net.http,jdk.crypto.ec --strip-debug --no-header-files --no-man-pages --output "$1/usr/lib/jvm"
    "$home/bin/javac" -d "$1/programs" "$programs"/*.java
}

assemble() { # FOLDER PACKAGE...
    local folder=$1 part=$1.part name
    shift
    rm -rf "${folder%-*}"-*.part
    mkdir -p "$part"
    unpack "$part/root" "$@"
    rm -rf "$part"/root/usr/share/{nodejs/*/test,gitweb,zsh,bash-completion,perl5} "$part"/root/usr/lib/postgresql/*/lib/bitcode
    mkdir -p "$part/root/programs" "$part/root/usr/lib/postgresql/bin"
    # Where no version is in the way; Debian's own is a wrapper in Perl.
    ln -s "../$(cd "$part/root/usr/lib/postgresql" && echo [0-9]*)/bin/psql" "$part/root/usr/lib/postgresql/bin/psql"
    install -m 755 "$busybox" "$part/root/usr/bin/busybox"
    install -m 644 "$programs"/*.{py,js} "$part/root/programs"
    java "$part/root" >&2
    for name in work fetch; do
        CGO_ENABLED=0 GOFLAGS=-trimpath go build -o "$part/root/programs/$name-go" "$programs/$name.go" >&2
    done
    rustc --edition 2024 -O -C target-feature=+crt-static --target x86_64-unknown-linux-gnu \
        -o "$part/root/programs/work-rust" "$programs/work.rs" >&2
    chroot "$part/root" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3* >&2
    # What can't run here can't run there. Git wants a /dev/null.
    : >"$part/root/dev/null"
    for name in "/usr/bin/python3 -c 'import requests'" "/usr/bin/node --version" \
        "/usr/bin/curl --version" "/usr/bin/git --version" "/usr/lib/postgresql/bin/psql --version"; do
        chroot "$part/root" /usr/bin/busybox sh -c "$name" >&2
    done
    rm "$part/root/dev/null"
    "$part/root/usr/lib/jvm/bin/java" -version # not under chroot: it finds its libraries by /proc
    find "$part/root" -type d -exec chmod u+rwx,go+rx {} +
    mv "$part/root" "$folder"
    rm -rf "$part"
}

postgres() { # FOLDER PACKAGE...
    local folder=$1 part=$1.part
    shift
    rm -rf "${folder%-*}"-*.part
    mkdir -p "$part"
    unpack "$part/root" "$@"
    install -m 755 "$busybox" "$part/root/usr/bin/sh" # by which initdb starts what it needs
    rm -rf "$part/root/usr/lib/postgresql"/*/lib/bitcode
    mv "$part/root" "$folder"
    rm -rf "$part"
}

[[ -x $busybox ]] || die "no $busybox: run e2e/cluster/build.sh busybox"
if [[ ${1:-} == --postgres ]]; then
    server=$(apt-cache depends postgresql | sed -nE 's/^ *Depends: (postgresql-[0-9]+)$/\1/p')
    # Compiles queries by LLVM, which is larger than all the rest.
    needed='(lib[^lz].*|libl[^l].*|libz[^3].*|zlib.*|tzdata)'
    names=$(closure "$needed" "$server")
    key=$( { echo "$names"; declare -f postgres unpack; } | sha256sum | cut -c1-16)
    folder=$cache/roots/postgres-$key
    if [[ ! -e $folder ]]; then
        say "assemble Debian's $server"
        # shellcheck disable=SC2086
        postgres "$folder" $names
    fi
    echo "$folder"
    exit
fi

need_rust
client=$(apt-cache depends postgresql-client | sed -nE 's/^ *Depends: (postgresql-client-[0-9]+)$/\1/p')
names=$(closure '((lib|zlib|python3|node-).*)' python3 python3-requests nodejs curl git "$client" | grep -v perl)
key=$( { echo "$names"; declare -f assemble java unpack; java_package; go version; rustc --version; cat "$programs"/* "$busybox"; } |
    sha256sum | cut -c1-16)
folder=$cache/roots/languages-$key
if [[ ! -e $folder ]]; then
    say "assemble Debian's Python, Node, Java, curl, git and psql ($(wc -l <<<"$names") packages)"
    # shellcheck disable=SC2086
    assemble "$folder" $names
fi
echo "$folder"
