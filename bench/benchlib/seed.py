# SPDX-License-Identifier: Apache-2.0
"""The same bytes in all servers: by the API where that is quick, as files for nginx, and for the
10,000 tags and 1,000 repositories of docker-registry in its own layout on disk, copied from what it
wrote itself (through its API that takes a minute). What the servers then list is compared."""

import hashlib
import http.client
import json
import os
import shutil

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REPOS = 20
TAGS_PER_REPO = 5
MANY_TAGS = 10000
MANY_REPOS = 1000
BIG_BYTES = 200 * 1000 * 1000
TAGS_REPO = "bench/tags"
BIG_REPO = "bench/big"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Data:
    """What is stored. Random, made once per run, equal for all servers."""

    def __init__(self, directory):
        self.config = json.dumps({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(os.urandom(8)) for _ in range(6)]},
            "history": [{"created_by": os.urandom(40).hex()} for _ in range(6)]}).encode()
        self.layers = [os.urandom(4096) for _ in range(6)]
        self.blobs = {digest(b): b for b in (self.config, *self.layers)}
        self.repos = [f"bench/r{i:02}" for i in range(REPOS)]
        self.manifests = {}
        for repo in self.repos:
            for t in range(TAGS_PER_REPO):
                self.manifests[repo, f"v1.{t}"] = self.manifest(f"{repo} {t}")
        self.many_tags = [f"tag-{i:05}" for i in range(MANY_TAGS)]
        others = sorted([*self.repos, TAGS_REPO, BIG_REPO])
        fill = MANY_REPOS - len(others)
        self.fill_repos = [f"team{i % 37:02}/app{i:04}" for i in range(fill)]
        self.all_repos = sorted(others + self.fill_repos)
        self.big_path = directory / "big"
        hasher = hashlib.sha256()
        with open(self.big_path, "wb") as f:
            for _ in range(BIG_BYTES // 1000000):
                block = os.urandom(1000000)
                hasher.update(block)
                f.write(block)
        self.big_digest = "sha256:" + hasher.hexdigest()
        self.template = directory / "template.json"
        self.template.write_bytes(self.manifest("@NONCE@"))

    def manifest(self, note, layers=None):
        layer = "application/vnd.oci.image.layer.v1.tar+gzip"
        return json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                       "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": layer, "digest": digest(b), "size": len(b)}
                       for b in (self.layers if layers is None else layers)],
            "annotations": {"org.example.note": note}}, indent=2).encode()


class Client:
    """A plain keep-alive client for seeding and checking."""

    def __init__(self, server):
        self.server = server
        self.c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120,
                                            blocksize=1 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.close()

    def call(self, method, path, want, body=None, headers=None):
        self.c.request(method, path, body=body, headers=headers or {})
        r = self.c.getresponse()
        data = r.read()
        if r.status != want:
            raise RuntimeError(f"{self.server.name}: {method} {path}: {r.status} {data[:300]!r}")
        return r, data

    def push(self, repo, name, body, length):
        r, _ = self.call("POST", f"/v2/{repo}/blobs/uploads/", 202, headers={"Content-Length": "0"})
        to = r.getheader("Location")
        if "://" in to:
            to = "/" + to.split("://", 1)[1].split("/", 1)[1]
        to += ("&" if "?" in to else "?") + "digest=" + name
        self.call("PUT", to, 201, body, {"Content-Length": str(length),
                                         "Content-Type": "application/octet-stream"})

    def put_manifest(self, repo, tag, body):
        self.call("PUT", f"/v2/{repo}/manifests/{tag}", 201, body, {"Content-Type": MANIFEST})

    def listing(self, path, key):
        """All names of a listing, through all of its pages."""
        names = []
        while path:
            r, data = self.call("GET", path, 200)
            names += json.loads(data)[key] or []
            link = r.getheader("Link") or ""
            path = link.split("<", 1)[1].split(">", 1)[0] if "next" in link else None
            if path and "://" in path:
                path = "/" + path.split("://", 1)[1].split("/", 1)[1]
        return names


def seed_blobs(client, repo, blobs):
    for body in blobs:
        client.push(repo, digest(body), body, len(body))


def seed_small(client, data, repo):
    """An image of one layer: what makes a repository one for a catalog."""
    seed_blobs(client, repo, [data.config, data.layers[0]])
    client.put_manifest(repo, "v1.0", data.manifest("small", data.layers[:1]))


def seed_images(client, data):
    for repo in (*data.repos, TAGS_REPO):
        seed_blobs(client, repo, data.blobs.values())
    for (repo, tag), body in data.manifests.items():
        client.put_manifest(repo, tag, body)
    with open(data.big_path, "rb") as f:
        client.push(BIG_REPO, data.big_digest, f, BIG_BYTES)
    seed_small(client, data, BIG_REPO)


def seed_berth(server, data, load):
    with Client(server) as c:
        seed_images(c, data)
        for repo in data.fill_repos:
            seed_small(c, data, repo)
    result = load.run("manifest", "--target", server.target, "--repo", TAGS_REPO, "--template",
                      data.template, "--type", MANIFEST, "--tag", "tag-", "--tags", MANY_TAGS,
                      "--count", MANY_TAGS, "--conns", 16)
    if result["errors"] or result["ops"] != MANY_TAGS:
        raise RuntimeError(f"berth: seeding tags: {result['error']}")


def seed_registry(server, data, _load):
    with Client(server) as c:
        seed_images(c, data)
        c.put_manifest(TAGS_REPO, data.many_tags[0], data.manifest("many"))
        seed_small(c, data, data.fill_repos[0])
    root = server.store / "docker/registry/v2/repositories"
    tags = root / TAGS_REPO / "_manifests/tags"
    for tag in data.many_tags[1:]:
        shutil.copytree(tags / data.many_tags[0], tags / tag)
    for repo in data.fill_repos[1:]:
        shutil.copytree(root / data.fill_repos[0], root / repo)


def seed_nginx(server, data, _load):
    def place(path, body):
        path = server.store / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    for (repo, tag), body in data.manifests.items():
        place(f"/v2/{repo}/manifests/{tag}", body)
        place(f"/v2/{repo}/manifests/{digest(body)}", body)
    for repo in data.repos:
        for name, body in data.blobs.items():
            place(f"/v2/{repo}/blobs/{name}", body)
    big = server.store / "v2" / BIG_REPO / "blobs"
    big.mkdir(parents=True)
    shutil.copyfile(data.big_path, big / data.big_digest)


SEEDERS = {"berth": seed_berth, "registry": seed_registry, "nginx": seed_nginx}


def check_listings(server, data):
    """Every server lists exactly the same names, or the rows compare different work."""
    with Client(server) as c:
        tags = sorted(c.listing(f"/v2/{TAGS_REPO}/tags/list", "tags"))
        repos = sorted(c.listing("/v2/_catalog?n=1000", "repositories"))
    if tags != data.many_tags:
        raise RuntimeError(f"{server.name} lists {len(tags)} tags, not the {MANY_TAGS} seeded")
    if repos != data.all_repos:
        raise RuntimeError(f"{server.name} lists {len(repos)} repositories, not {MANY_REPOS}")


def write_paths(directory, data):
    """Files of paths for the load generator, by kind of object."""
    def write(name, lines):
        path = directory / f"{name}.paths"
        path.write_text("".join(line + "\n" for line in lines), encoding="ascii")
        return path

    manifests = data.manifests.items()
    return {
        "tag": write("tag", [f"/v2/{r}/manifests/{t} {len(b)} {digest(b)}"
                             for (r, t), b in manifests]),
        "digest": write("digest", [f"/v2/{r}/manifests/{digest(b)} {len(b)} {digest(b)}"
                                   for (r, t), b in manifests]),
        "blob": write("blob", [f"/v2/{r}/blobs/{d} {len(b)} {d}" for r in data.repos
                               for d, b in data.blobs.items()]),
        "big": write("big", [f"/v2/{BIG_REPO}/blobs/{data.big_digest} {BIG_BYTES} "
                             f"{data.big_digest}"]),
        "tags": write("tags", [f"/v2/{TAGS_REPO}/tags/list - -"]),
        "tags-page": write("tags-page", [f"/v2/{TAGS_REPO}/tags/list?n=100 - -",
                                         f"/v2/{TAGS_REPO}/tags/list?n=100&last=tag-05000 - -"]),
        "catalog": write("catalog", ["/v2/_catalog?n=1000 - -"]),
        "catalog-page": write("catalog-page", ["/v2/_catalog?n=100 - -",
                                               "/v2/_catalog?n=100&last=team18%2Fapp0500 - -"]),
    }
