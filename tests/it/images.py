# SPDX-License-Identifier: Apache-2.0
"""Real images for the tests with real clients: a Debian root file system of more than 100 MB in
several layers, made of the packages that are installed on this machine (their file lists are
dpkg's), as an OCI layout with an index of two platforms. /bin/sh in it runs. Made once and kept
under .cache/ in the tree; nothing is downloaded."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from registry_client import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, digest, dumps

TOP = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("BERTH_TEST_CACHE", TOP / ".cache/images"))
# The base has all that a shell needs; the others are layers on top, until there is enough.
BASE = ["base-files", "base-passwd", "bash", "dash", "coreutils", "libc6", "libc-bin", "libtinfo6",
        "libacl1", "libattr1", "libselinux1", "libpcre2-8-0", "libgmp10", "libgcc-s1", "grep",
        "sed", "tar", "gzip", "findutils", "diffutils", "hostname", "debianutils", "mount",
        "util-linux"]
MORE = [["perl-base", "dpkg", "apt", "libapt-pkg6.0", "libstdc++6", "gpgv"],
        ["python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "python3"],
        ["cpp-12", "gcc-12", "libgcc-12-dev", "libc6-dev"],
        ["binutils-x86-64-linux-gnu", "libbinutils", "g++-12", "libstdc++-12-dev"],
        ["git", "podman", "skopeo"]]
ENOUGH = 110 * 1000 * 1000
USR_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def package_files(packages):
    """Regular files and links of the packages, by their real place, without documentation."""
    listed = subprocess.run(["dpkg", "-L", *packages], capture_output=True, text=True,
                            check=False).stdout
    found = set()
    for line in listed.splitlines():
        if not line.startswith("/") or line.startswith(("/usr/share/doc/", "/usr/share/man/",
                                                        "/usr/share/locale/", "/usr/share/info/")):
            continue
        path = os.path.join(os.path.realpath(os.path.dirname(line)), os.path.basename(line))
        if os.path.islink(path) or os.path.isfile(path):
            found.add(path)
    return found


def write_layer(paths, extra=()):
    """(tar bytes, sizes summed): reproducible, owned by root, parents first."""
    out = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(info, data=None):
            info.uid = info.gid = 0
            info.uname = info.gname = "root"
            info.mtime = 1_700_000_000
            tar.addfile(info, io.BytesIO(data) if data is not None else None)

        made = set()
        for path in sorted(paths):
            parent = ""
            for part in path.strip("/").split("/")[:-1]:
                parent = f"{parent}/{part}"
                if parent not in made:
                    made.add(parent)
                    info = tarfile.TarInfo(parent[1:])
                    info.type, info.mode = tarfile.DIRTYPE, 0o755
                    add(info)
            info = tarfile.TarInfo(path[1:])
            if os.path.islink(path):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
                info.mode = 0o777
                add(info)
            else:
                data = Path(path).read_bytes()
                info.size, info.mode = len(data), os.stat(path).st_mode & 0o7777
                total += len(data)
                add(info, data)
        for name, kind, value in extra:
            if f"/{name}" in made or f"/{name}" in paths:
                continue  # Docker takes no path twice
            made.add(f"/{name}")
            info = tarfile.TarInfo(name)
            if kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, value
                add(info)
            elif kind == "dir":
                info.type, info.mode = tarfile.DIRTYPE, value
                add(info)
            else:
                info.size, info.mode = len(value), 0o644
                add(info, value)
    return out.getvalue(), total


def base_extra(arch):
    extra = [(d, "link", f"usr/{d}") for d in USR_MERGED if os.path.islink(f"/{d}")]
    extra += [(d, "dir", mode) for d, mode in
              (("tmp", 0o1777), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755), ("root", 0o700),
               ("run", 0o755), ("var", 0o755), ("var/tmp", 0o1777))]
    extra += [("etc/passwd", "file", b"root:x:0:0:root:/root:/bin/sh\n"),
              ("etc/group", "file", b"root:x:0:\n"),
              ("etc/berth-test", "file", f"made for {arch}\n".encode())]
    return extra


class Layout:
    """Writes an OCI layout directory."""

    def __init__(self, path):
        self.path = Path(path)
        (self.path / "blobs/sha256").mkdir(parents=True)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data, media_type, **more):
        dgst = digest(data)
        (self.path / "blobs" / dgst.replace(":", "/")).write_bytes(data)
        return {"mediaType": media_type, "digest": dgst, "size": len(data), **more}

    def image(self, arch, layers):
        """layers: [(gzip bytes, digest of the tar)]"""
        config = dumps({"architecture": arch, "os": "linux", "created": "2023-11-14T22:13:20Z",
                        "config": {"Cmd": ["/bin/sh"],
                                   "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
                        "rootfs": {"type": "layers", "diff_ids": [d for _, d in layers]},
                        "history": [{"created_by": f"layer {k}"} for k in range(len(layers))]})
        body = dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                      "config": self.blob(config, OCI_CONFIG),
                      "layers": [self.blob(z, OCI_LAYER) for z, _ in layers]})
        platform = {"architecture": arch, "os": "linux"}
        return self.blob(body, OCI_MANIFEST, platform=platform)

    def finish(self, named):
        """named: {reference name: descriptor}"""
        entries = [{**d, "annotations": {"org.opencontainers.image.ref.name": name}}
                   for name, d in named.items()]
        (self.path / "index.json").write_bytes(dumps({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}))


def compress(tar):
    return gzip.compress(tar, compresslevel=1, mtime=0), "sha256:" + hashlib.sha256(tar).hexdigest()


def host_arch():
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True,
                          check=True).stdout.strip()


def debian_layout():
    """The path of an OCI layout with `debian` (this machine's platform) and `multi` (an index of
    two platforms)."""
    versions = subprocess.run(["dpkg-query", "-W", *BASE, *(p for m in MORE for p in m)],
                              capture_output=True, text=True, check=False).stdout
    script = Path(__file__).read_bytes()
    key = hashlib.sha256(versions.encode() + script).hexdigest()[:16]
    path = CACHE / key
    if (path / "index.json").exists():
        return path
    shutil.rmtree(CACHE, ignore_errors=True)
    part = CACHE / f"{key}.part"
    layout = Layout(part)
    arch = host_arch()
    other = "arm64" if arch != "arm64" else "amd64"
    seen = package_files(BASE)
    tar, total = write_layer(seen, base_extra(arch))
    layers = [compress(tar)]
    for packages in MORE:
        if total >= ENOUGH and len(layers) >= 4:
            break
        files = package_files(packages) - seen
        if files:
            seen |= files
            tar, size = write_layer(files)
            total += size
            layers.append(compress(tar))
    assert total >= 100 * 1000 * 1000, f"only {total} bytes of packages are installed here"
    assert len(layers) >= 3
    image = layout.image(arch, layers)
    # Another platform with a base of its own and shared data layers beside it.
    tar, _ = write_layer([], base_extra(other))
    second = layout.image(other, [compress(tar), layers[1]])
    index = layout.blob(dumps({"schemaVersion": 2, "mediaType": OCI_INDEX,
                               "manifests": [image, second]}), OCI_INDEX)
    layout.finish({"debian": image, "multi": index})
    part.rename(path)
    return path


def read_layout(path, name):
    """(descriptor, manifest bytes) of a name in a layout."""
    index = json.loads((Path(path) / "index.json").read_bytes())
    for d in index["manifests"]:
        if d.get("annotations", {}).get("org.opencontainers.image.ref.name") == name:
            return d, layout_blob(path, d["digest"])
    raise KeyError(name)


def layout_blob(path, dgst):
    return (Path(path) / "blobs" / dgst.replace(":", "/")).read_bytes()


def closure(path, descriptor):
    """Every digest that a descriptor leads to, itself included."""
    found = {descriptor["digest"]}
    if "manifest" in descriptor["mediaType"] or "index" in descriptor["mediaType"]:
        body = json.loads(layout_blob(path, descriptor["digest"]))
        for child in [*body.get("manifests", []), *body.get("layers", []),
                      *([body["config"]] if "config" in body else [])]:
            found |= closure(path, child)
    return found
