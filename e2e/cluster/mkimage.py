#!/usr/bin/env python3
"""Writes an OCI image archive with one layer, and prints its manifest digest. The same input gives the same digest."""
import argparse
import hashlib
import io
import json
import os
import tarfile


def layer_of(source):
    """The layer's bytes: a folder as the root file system, or one file as /<its name>."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        def clean(info):
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            return info
        if os.path.isdir(source):
            for folder, folders, files in os.walk(source):
                folders.sort()
                links = [d for d in folders if os.path.islink(os.path.join(folder, d))]
                inside = os.path.relpath(folder, source)
                if inside != ".":
                    tar.add(folder, inside, recursive=False, filter=clean)
                for name in sorted(files + links):
                    path = os.path.join(folder, name)
                    tar.add(path, os.path.relpath(path, source), recursive=False, filter=clean)
        else:
            tar.add(source, os.path.basename(source), filter=clean)
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="full image name, such as e2e.local/tool:1")
    parser.add_argument("source", help="a static binary or a root file system folder")
    parser.add_argument("archive", help="the archive to write")
    parser.add_argument("--entrypoint", nargs=argparse.REMAINDER, help="the last option; default: the binary; nothing for a folder")
    parser.add_argument("--user", default="")
    parser.add_argument("--env", action="append", default=["PATH=/usr/local/bin:/usr/bin:/bin:/sbin"])
    args = parser.parse_args()

    entrypoint = args.entrypoint
    if not entrypoint and not os.path.isdir(args.source):
        entrypoint = ["/" + os.path.basename(args.source)]
    layer = layer_of(args.source)
    blobs = {}

    def blob(data, media_type):
        if not isinstance(data, bytes):
            data = json.dumps(data, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    layer_ref = blob(layer, "application/vnd.oci.image.layer.v1.tar")
    config_ref = blob({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": entrypoint or [], "User": args.user, "Env": args.env, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer_ref["digest"]]},
    }, "application/vnd.oci.image.config.v1+json")
    manifest = blob({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_ref, "layers": [layer_ref],
    }, "application/vnd.oci.image.manifest.v1+json")
    digest = manifest["digest"]
    manifest["annotations"] = {"io.containerd.image.name": args.name}

    with tarfile.open(args.archive, "w") as tar:
        def add(path, data):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
        for name, data in blobs.items():
            add("blobs/sha256/" + name, data)
    print(digest)


if __name__ == "__main__":
    main()
