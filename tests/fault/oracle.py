# SPDX-License-Identifier: Apache-2.0
"""What a registry has acknowledged, and the check that it is all there after a crash: every
acknowledged blob, manifest and tag, byte for byte; and nothing in the data directory that no one
answers for."""

import hashlib
import os
import random
import sqlite3
import threading

import requests
from harness import wait_for
from registry_client import OCI_MANIFEST, Registry, digest, image

GONE = (requests.exceptions.RequestException, OSError, KeyError)


class Oracle:
    def __init__(self):
        self.lock = threading.Lock()
        self.blobs = {}      # (repo, digest) -> bytes
        self.manifests = {}  # (repo, digest) -> bytes
        self.tags = {}       # (repo, tag) -> [digest acknowledged last, digests sent after it ...]
        self.begun = 0

    def blob(self, repo, dgst, data):
        with self.lock:
            self.blobs[repo, dgst] = data

    def tag_sent(self, repo, tag, dgst):
        with self.lock:
            self.tags.setdefault((repo, tag), [None]).append(dgst)

    def manifest(self, repo, dgst, body, tag=None):
        with self.lock:
            self.manifests[repo, dgst] = body
            if tag:
                self.tags[repo, tag] = [dgst]

    def check(self, server):
        """After a restart. Returns how much was compared."""
        registry = Registry(server.url)
        for (repo, dgst), data in self.blobs.items():
            r = registry.blob(repo, dgst)
            assert r.status_code == 200, f"acknowledged blob {repo} {dgst} is lost: {r.status_code}"
            assert r.content == data, f"blob {repo} {dgst} has other bytes"
        for (repo, dgst), body in self.manifests.items():
            r = registry.manifest(repo, dgst)
            assert r.status_code == 200, f"acknowledged manifest {repo} {dgst} is lost"
            assert r.content == body
        for (repo, tag), allowed in self.tags.items():
            r = registry.manifest(repo, tag)
            if r.status_code == 404:
                assert allowed[0] is None, f"acknowledged tag {repo}:{tag} is lost"
                continue
            assert r.status_code == 200
            assert digest(r.content) == r.headers["Docker-Content-Digest"]
            assert r.headers["Docker-Content-Digest"] in allowed, f"{repo}:{tag} points elsewhere"
            self.check_whole(registry, repo, r)
        return len(self.blobs) + len(self.manifests) + len(self.tags)

    def check_whole(self, registry, repo, manifest):
        """I1: a manifest that is there has all of its content."""
        body = manifest.json()
        for d in [*body.get("layers", []), body["config"]]:
            r = registry.blob(repo, d["digest"], "HEAD")
            assert r.status_code == 200 and int(r.headers["Content-Length"]) == d["size"]


class Pusher(threading.Thread):
    """Pushes images until it is told to stop or the server is gone. Each has a small blob, a larger
    one (in one PUT or in pieces), a manifest and two tags: one of its own and one that moves."""

    def __init__(self, url, oracle, number, seed, stop):
        super().__init__(daemon=True)
        self.registry = Registry(url)
        self.oracle = oracle
        self.repo = f"k/r{number}"
        self.rng = random.Random(seed)
        self.stopped = stop
        self.wrong = []

    def push_blob(self, data):
        dgst = digest(data)
        location = self.registry.start(self.repo)
        if self.rng.random() < 0.5 and len(data) > 10:
            at, step = 0, max(1, len(data) // 3)
            while at < len(data):
                r = self.registry.append(location, data[at:at + step], start=at)
                self.expect(r, 202)
                at += step
            r = self.registry.finish(location, dgst)
        else:
            r = self.registry.finish(location, dgst, data)
        self.expect(r, 201)
        self.oracle.blob(self.repo, dgst, data)
        return dgst

    def expect(self, r, status):
        if r.status_code != status:
            self.wrong.append((r.request.method, r.request.url, r.status_code, r.text[:300]))
            raise OSError("unexpected answer")

    def push(self, k):
        with self.oracle.lock:
            self.oracle.begun += 1
        config = os.urandom(self.rng.choice((20, 2000)))
        layer = os.urandom(self.rng.choice((100, 60_000, 70_000, 300_000)))
        self.push_blob(config)
        self.push_blob(layer)
        body = image(config, [layer])
        dgst = digest(body)
        for tag in (f"t{k}-{dgst[7:15]}", "moving"):
            self.oracle.tag_sent(self.repo, tag, dgst)
            r = self.registry.put_manifest(self.repo, tag, body, OCI_MANIFEST)
            self.expect(r, 201)
            self.oracle.manifest(self.repo, dgst, body, tag)

    def run(self):
        k = 0
        try:
            while not self.stopped.is_set():
                self.push(k)
                k += 1
        except (*GONE, AssertionError) as e:
            if isinstance(e, AssertionError):
                self.wrong.append(str(e))


def check_directory(server, repos, damaged=None):
    """Nothing but what has an owner: each file below blobs/ has the name of its content and one
    link; each file in uploads/ is an upload that can be gone on with; the rest is known. `damaged`:
    the digest of a file that the test itself has spoilt."""
    registry = Registry(server.url)
    # "probe" is written over by the next write probe.
    known = {"probe", "blobs", "uploads", "trash", "lock", "berth.db", "berth.db-wal", "berth.db-shm"}
    assert {p.name for p in server.data.iterdir()} <= known

    def orphans():
        left = []
        for name in server.stages():
            if not any(registry.get(f"/v2/{repo}/blobs/uploads/{name}").status_code == 204
                       for repo in repos):
                left.append(name)
        return left

    wait_for(lambda: not orphans(), 20, "an uploads directory without orphans")

    def names_known():
        """A second name is the stage of an upload that may still be finished, and nothing else."""
        stages = {p.stat().st_ino for p in (server.data / "uploads").iterdir()}
        return all(p.stat().st_nlink == 1 + (p.stat().st_ino in stages)
                   for p in server.blob_files())

    wait_for(names_known, 20, "blobs without a second name that nobody answers for")
    for p in server.blob_files():
        alg = p.parent.parent.name
        if not damaged or p.name != damaged.split(":")[1]:
            assert hashlib.new(alg, p.read_bytes()).hexdigest() == p.name, f"{p} is damaged"
    trash = server.data / "trash"
    assert not trash.is_dir() or not list(trash.iterdir())


def check_database(server):
    """SQLite's own check, on a stopped server."""
    db = sqlite3.connect(f"file:{server.data / 'berth.db'}?mode=ro", uri=True)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        db.close()
