# SPDX-License-Identifier: Apache-2.0
"""`berth import registry2`: directories that the real docker-registry has written, with all that its
clients push, its deletes, a garbage collection, a crash, and damage by hand; then both registries
are asked for every manifest, tag and blob."""

import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from clients import EXACTLY, Home, require, tool
from compare.servers import registry_version
from docker_registry import DockerRegistry, program
from harness import SANITIZER, Berth, binary, has_faults, wait_for
from images import Layout, compress, write_layer
from registry_client import (DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX,
                             OCI_MANIFEST, Raw, Registry, descriptor, digest, dumps, image, index)

ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
SMALL = os.urandom(3000)
LARGE = [os.urandom(200_000 + k) for k in range(4)]
SCHEMA1 = b'{"schemaVersion": 1, "name": "old/one", "tag": "x", "fsLayers": [], "history": []}'


# --- running it ---

class Run:
    def __init__(self, done, seconds):
        self.status = done.returncode
        self.out, self.err = done.stdout, done.stderr
        self.seconds = seconds
        lines = [json.loads(x) for x in self.out.splitlines() if x.startswith("{")]
        self.findings = [x for x in lines if "kind" in x]
        self.result = next((x["result"] for x in lines if "result" in x), None)

    def kinds(self):
        return {k: sum(f["kind"] == k for f in self.findings) for k in
                {f["kind"] for f in self.findings}}

    def has(self, kind, *texts):
        return any(f["kind"] == kind and all(t in f["path"] + " " + f["text"] for t in texts)
                   for f in self.findings)


def berth_import(source, data, *options, faults=None, env=None, check=True):
    env = {**os.environ, "ASAN_OPTIONS": "exitcode=99:detect_leaks=1",
           "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=98",
           "TSAN_OPTIONS": "exitcode=97", **(env or {})}
    env.pop("BERTH_FAULTS", None)
    if faults:
        env["BERTH_FAULTS"] = faults
    where = ["--data", str(data)] if data else []
    start = time.monotonic()
    done = subprocess.run([binary(), "import", "registry2", str(source), *where, "--json", *options],
                          capture_output=True, text=True, timeout=300, env=env, check=False)
    assert not SANITIZER.search(done.stderr), done.stderr[-6000:]
    run = Run(done, time.monotonic() - start)
    if check:
        assert run.status in (0, 3), (run.status, run.out[-2000:], run.err[-2000:])
        assert run.status == (3 if run.findings else 0)
        assert run.result["findings"] == len(run.findings)
    return run


# --- the source ---

def push(registry, repo, tag, config, layers, media_type=DOCKER_MANIFEST, **more):
    for data in (config, *layers):
        registry.push_blob(repo, data)
    body = image(config, layers, media_type=media_type, **more)
    registry.push_manifest(repo, tag or digest(body), body, media_type)
    return body


def push_index(registry, repo, tag, children, media_type, child_type):
    body = index(children, media_type=media_type, child_type=child_type)
    registry.push_manifest(repo, tag or digest(body), body, media_type)
    return body


def layout(path):
    """A small OCI layout: `one` and an index `multi`."""
    made = Layout(path)
    layers = []
    for k in range(3):
        tar, _ = write_layer([], [(f"file{k}", "file", random.Random(k).randbytes(200_000))])
        layers.append(compress(tar))
    first = made.image("amd64", layers[:2])
    second = made.image("arm64", layers[1:])
    both = made.blob(dumps({"schemaVersion": 2, "mediaType": OCI_INDEX,
                            "manifests": [first, second]}), OCI_INDEX)
    made.finish({"one": first, "multi": both})
    return path


def fill(registry, home, oci):
    """What clients push; returns what is needed to delete some of it."""
    host = registry.url[len("http://"):]

    def skopeo(name, to, *options):
        home.skopeo("copy", "--dest-tls-verify=false", *options, f"oci:{oci}:{name}",
                    f"docker://{host}/{to}")

    skopeo("one", "skopeo/oci:1", EXACTLY)
    skopeo("one", "skopeo/v2s2:1", "--format=v2s2")
    skopeo("multi", "skopeo/multi:latest", "--all", EXACTLY)
    skopeo("multi", "skopeo/list:latest", "--all", "--format=v2s2")
    config = dumps({"architecture": "amd64", "os": "linux"})
    made = {}
    made["app"] = push(registry, "app", "1", config, [SMALL, LARGE[0]])
    registry.push_manifest("app", "latest", made["app"], DOCKER_MANIFEST)
    made["moved"] = push(registry, "app", "moving", config, [b"before"])
    push(registry, "app", "moving", config, [b"after"])  # the old one stays, without a tag
    # Names nest, also below a repository; layers are shared.
    push(registry, "app/sub", "1", config, [SMALL, LARGE[0]])
    push(registry, "app/sub/sub/sub", "1", config, [SMALL, LARGE[1]], OCI_MANIFEST)
    # OCI: an artifact, something that refers to another, no mediaType in the body.
    push(registry, "art", "sbom", b"{}", [b'{"sbom": 1}'], OCI_MANIFEST,
         config_type="application/vnd.example.sbom+json", layer_type="application/json")
    push(registry, "app", None, b"{}", [b"signature"], OCI_MANIFEST,
         subject=descriptor(made["app"], DOCKER_MANIFEST), config_type=OCI_CONFIG)
    bare = json.loads(image(config, [LARGE[2]]))
    del bare["mediaType"]
    registry.push_blob("art", config)
    registry.push_blob("art", LARGE[2])
    assert registry.put_manifest("art", "bare", dumps(bare), OCI_MANIFEST).status_code == 201
    # Indexes, one of them of indexes, and a list of Docker's.
    a = push(registry, "ix", "a", config, [b"a"], OCI_MANIFEST)
    b = push(registry, "ix", None, config, [b"b"], OCI_MANIFEST)
    inner = push_index(registry, "ix", "inner", [a, b], OCI_INDEX, OCI_MANIFEST)
    push_index(registry, "ix", "outer", [inner], OCI_INDEX, OCI_INDEX)
    d = push(registry, "ix", "d", config, [b"d"], DOCKER_MANIFEST)
    push_index(registry, "ix", "list", [d], DOCKER_LIST, DOCKER_MANIFEST)
    # A blob that no manifest refers to; one by sha512.
    registry.push_blob("loose", LARGE[3])
    made["sha512"] = None
    r = registry.finish(registry.start("loose"), digest(LARGE[1], "sha512"), LARGE[1])
    if r.status_code == 201:
        made["sha512"] = digest(LARGE[1], "sha512")
    # Deleted through the API: a manifest with its tag, a blob, everything of a repository.
    push(registry, "gone", "x", config, [b"gone"])
    made["deleted"] = push(registry, "app", "deleted", config, [b"to be deleted"])
    for repo, ref in (("gone", "x"), ("app", "deleted")):
        r = registry.manifest(repo, ref, "HEAD", headers={"Accept": ACCEPT})
        assert registry.delete(f"/v2/{repo}/manifests/{r.headers['Docker-Content-Digest']}"
                               ).status_code == 202
    registry.push_blob("loose", b"deleted blob")
    made["deleted_blob"] = digest(b"deleted blob")
    assert registry.delete(f"/v2/loose/blobs/{made['deleted_blob']}").status_code == 202
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory as docker-registry leaves it after a life: (DockerRegistry that is stopped, what
    was pushed)."""
    require("docker-registry", "skopeo")
    base = tmp_path_factory.mktemp("made")
    server = DockerRegistry(base / "registry", base / "data").start()
    registry = Registry(server.url)
    pushed = fill(registry, Home(base / "home"), layout(base / "layout"))
    # An upload in its middle, and the server is killed.
    with Raw(server.url) as c:
        location = registry.start("crash")
        c.send(f"PATCH {location.split(server.url)[-1]} HTTP/1.1\r\nHost: x\r\n"
               "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n")
        c.send(b"x" * 300_000)
        time.sleep(0.3)
        server.stop(signal.SIGKILL)
    return server, pushed


@pytest.fixture
def source(made, tmp_path):
    """A copy of it that the test may change."""
    server, pushed = made
    copy = DockerRegistry(tmp_path / "registry", tmp_path / "source")
    shutil.rmtree(copy.data)
    shutil.copytree(server.data, copy.data)
    return copy, pushed


def snapshot(path):
    """Everything that a change would show in, but the times of reading."""
    return {str(p.relative_to(path)): (st.st_ino, st.st_size, st.st_mode, st.st_mtime_ns,
                                       p.read_bytes() if p.is_file() else None)
            for p in sorted(Path(path).rglob("*")) for st in [p.lstat()]}


# --- comparing ---

def links(v2, kind):
    """{repository: {digest in the link}} of _layers or _manifests/revisions."""
    found = {}
    for link in (v2 / "repositories").rglob(f"{kind}/*/*/link"):
        repo = str(link.relative_to(v2 / "repositories")).split(f"/{kind.split('/')[0]}/")[0]
        alg, hexed = link.parts[-3:-1]
        found.setdefault(repo, set()).add(f"{alg}:{hexed}")
    return found


def catalog(registry):
    names, last = [], ""
    while True:
        page = registry.catalog(n=100, last=last).json()["repositories"]
        if not page:
            return names
        names += page
        last = page[-1]


def compare(source, berth, ignore=()):
    """Starts docker-registry on the same directory, and asks both. The number of answers that were
    compared; what berth lacks has to be in `ignore`."""
    source.start()
    old, new = Registry(source.url), Registry(berth.url)
    compared = {"manifests": 0, "tags": 0, "blobs": 0}
    try:
        repositories = sorted(catalog(new))
        here = [r for r in repositories if (source.v2 / "repositories" / r / "_manifests").is_dir()]
        # registry 3 names those alone that have had a manifest.
        assert sorted(catalog(old)) in (repositories, here)
        for repo in repositories:
            r = old.tags(repo)
            tags = sorted(r.json()["tags"] or []) if r.status_code == 200 else []
            tags = [t for t in tags if (repo, t) not in ignore]
            assert tags == sorted(new.tags(repo).json()["tags"] or []), repo
            references = [*tags, *sorted(links(source.v2, "_manifests/revisions").get(repo, ()))]
            for ref in references:
                if (repo, ref) in ignore:
                    assert new.manifest(repo, ref, headers={"Accept": ACCEPT}).status_code == 404
                    continue
                x = old.manifest(repo, ref, headers={"Accept": ACCEPT})
                y = new.manifest(repo, ref, headers={"Accept": ACCEPT})
                assert (x.status_code, x.content) == (y.status_code, y.content), (repo, ref)
                assert x.status_code == 200
                for field in ("Content-Type", "Docker-Content-Digest", "Content-Length"):
                    assert x.headers[field] == y.headers[field], (repo, ref, field)
                compared["tags" if ref in tags else "manifests"] += 1
            for dgst in sorted(links(source.v2, "_layers").get(repo, ())):
                if (repo, dgst) in ignore:
                    assert new.blob(repo, dgst).status_code == 404
                    continue
                x, y = old.blob(repo, dgst), new.blob(repo, dgst)
                assert x.status_code == y.status_code == 200, (repo, dgst)
                assert x.content == y.content
                compared["blobs"] += 1
    finally:
        source.stop()
    return compared


# --- the tests ---

def test_everything(source, fresh_berth, tmp_path):
    source, pushed = source
    before = snapshot(source.data)
    dry = berth_import(source.data, None, "--dry-run")
    run = berth_import(source.data, tmp_path / "data")
    assert snapshot(source.data) == before  # read only
    # The upload is all that is left out. (Of crash/ nothing else is there.)
    assert run.kinds() == {"upload": 1} and run.has("upload", "crash/_uploads/")
    assert {**dry.result, "milliseconds": 0, "dry_run": False} == {**run.result, "milliseconds": 0}
    assert dry.findings == run.findings
    assert run.result["blobs_copied"] == 0 and run.result["blobs_linked"] >= 4
    server = fresh_berth(data=tmp_path / "data")
    compared = compare(source, server)
    assert compared["manifests"] >= 15 and compared["tags"] >= 15 and compared["blobs"] >= 30
    assert compared["manifests"] == run.result["manifests"]
    assert compared["tags"] == run.result["tags"]
    registry = Registry(server.url)
    assert registry.blob("loose", pushed["deleted_blob"]).status_code == 404
    assert registry.manifest("app", digest(pushed["deleted"])).status_code == 404
    assert registry.manifest("app", digest(pushed["moved"])).content == pushed["moved"]
    if pushed["sha512"]:
        assert registry.blob("loose", pushed["sha512"]).content == LARGE[1]
    # What registry has no notion of: referrers are found.
    r = registry.referrers("app", digest(pushed["app"])).json()
    assert [m["artifactType"] for m in r["manifests"]] == [OCI_CONFIG]
    # A hard link is the same file, and stays as it is when the blob is pushed again.
    linked = [p for p in server.blob_files() if p.stat().st_nlink > 1]
    assert len(linked) >= 4
    registry.push_blob("app", LARGE[0])
    assert registry.delete(f"/v2/app/blobs/{digest(LARGE[0])}").status_code == 202
    assert snapshot(source.v2 / "blobs") == {k.removeprefix("docker/registry/v2/blobs/"): v for k, v
                                             in before.items()
                                             if k.startswith("docker/registry/v2/blobs/")}


def test_again_and_more(source, fresh_berth, tmp_path):
    """The same again changes nothing; a registry that went on is followed."""
    source, _ = source
    data = tmp_path / "data"
    first = berth_import(source.data, data)
    again = berth_import(source.data, data)
    blobs = ("blobs_linked", "blobs_inline", "blobs_copied", "blobs_present")
    assert again.result["blobs_present"] == sum(first.result[k] for k in blobs)
    assert sum(again.result[k] for k in blobs) == again.result["blobs_present"]
    source.start()
    registry = Registry(source.url)
    config = dumps({"architecture": "amd64", "os": "linux", "later": True})
    push(registry, "app", "1", config, [os.urandom(100_000)])
    push(registry, "new/one", "1", config, [LARGE[0]])
    source.stop()
    more = berth_import(source.data, data)
    assert more.has("tag-moved", "tag 1 of app") and more.kinds()["tag-moved"] == 1
    assert more.result["blobs_linked"] == 1 and more.result["blobs_inline"] == 1
    compare(source, fresh_berth(data=data))
    assert "tag-moved" not in berth_import_stopped(source, data).kinds()


def berth_import_stopped(source, data):
    """While a berth serves from there it is refused."""
    run = berth_import(source.data, data, check=False)
    assert run.status == 1 and "a berth is running on this directory" in run.err
    copy = data.parent / "copy"
    shutil.copytree(data, copy)
    return berth_import(source.data, copy)


@pytest.mark.parametrize("untagged", [False, True])
def test_garbage_collected(source, fresh_berth, tmp_path, untagged):
    """2.8 leaves links of the blobs that it has removed; with -m it even removes the children of
    indexes that have tags."""
    source, pushed = source
    source.collect_garbage(*(["-m"] if untagged else []))
    before = snapshot(source.data)
    run = berth_import(source.data, tmp_path / "data")
    assert snapshot(source.data) == before
    assert set(run.kinds()) <= {"upload", "broken-link", "missing-blob", "missing-child"}
    assert run.has("broken-link", "loose/_layers/", digest(LARGE[3])[7:])
    assert not run.has("broken-link", pushed["deleted_blob"][7:])  # its link went with it
    ignore = set()
    v2 = source.v2
    for repo, found in links(v2, "_layers").items():
        for dgst in found:
            target = (v2 / f"repositories/{repo}/_layers/{dgst.replace(':', '/')}/link").read_text()
            hexed = target.split(":")[1]
            if not (v2 / f"blobs/sha256/{hexed[:2]}/{hexed}/data").exists():
                ignore.add((repo, dgst))
                assert run.has("broken-link", repo, dgst.split(":")[1])
    for f in run.findings:
        if f["kind"] == "missing-blob":
            m = re.match(r"manifest (\S+) of (\S+) \((?:no tag|tags? ([^)]*))\)", f["text"])
            ignore |= {(m[2], m[1])} | {(m[2], t) for t in (m[3] or "").split(", ")}
    if untagged and registry_version(program()).startswith("2."):
        assert run.has("missing-blob", "skopeo/multi", "tag latest")
    else:
        assert "missing-blob" not in run.kinds()
    compare(source, fresh_berth(data=tmp_path / "data"), ignore)


def damage(source, pushed):
    """By hand. Returns what berth cannot have any more."""
    v2 = source.v2
    repositories = v2 / "repositories"

    def layer(repo, data):
        return repositories / repo / "_layers/sha256" / hashlib.sha256(data).hexdigest() / "link"

    def blob(data):
        hexed = hashlib.sha256(data).hexdigest()
        return v2 / "blobs/sha256" / hexed[:2] / hexed / "data"

    layer("art", LARGE[2]).write_bytes(b"")  # a crash of 2.8
    blob(LARGE[1]).unlink()
    blob(b"a").write_bytes(b"A")  # the same size, other bytes
    blob(LARGE[3]).write_bytes(LARGE[3][:1000])  # cut off, but nothing says how long it was
    (repositories / "app/_layers/sha256/link.5d2f.tmp").write_bytes(b"sha256:")
    (repositories / "app/escape").symlink_to("/")
    (repositories / "app/round").symlink_to("..")
    (repositories / os.fsdecode(b"\xff\xfe")).mkdir()
    (repositories / "Not-A-Name").mkdir()
    secret = source.base / "secret"
    secret.write_bytes(b"secret bytes")
    blob(b"secret bytes").parent.mkdir(parents=True)
    blob(b"secret bytes").symlink_to(secret)
    place = layer("app", b"secret bytes")
    place.parent.mkdir()
    place.write_text(digest(b"secret bytes"))
    old = repositories / "old/one"
    (old / "_layers").mkdir(parents=True)
    hexed = hashlib.sha256(SCHEMA1).hexdigest()
    blob(SCHEMA1).parent.mkdir(parents=True)
    blob(SCHEMA1).write_bytes(SCHEMA1)
    for where in (f"_manifests/revisions/sha256/{hexed}", "_manifests/tags/x/current",
                  f"_manifests/tags/x/index/sha256/{hexed}"):
        (old / where).mkdir(parents=True)
        (old / where / "link").write_text(f"sha256:{hexed}")
    signatures = old / f"_manifests/revisions/sha256/{hexed}/signatures/sha256/{hexed}"
    signatures.mkdir(parents=True)
    (signatures / "link").write_text(f"sha256:{hexed}")
    (repositories / "app/_manifests/tags/dangling/current").mkdir(parents=True)
    (repositories / "app/_manifests/tags/dangling/current/link").write_text(digest(b"nothing"))


def test_damage(source, fresh_berth, tmp_path):
    source, pushed = source
    damage(source, pushed)
    before = snapshot(source.data)
    run = berth_import(source.data, tmp_path / "data", "--verify", "full",
                       "--report", str(tmp_path / "report"))
    assert snapshot(source.data) == before
    for kind, *texts in (
            ("empty-link", "repositories/art/_layers/", digest(LARGE[2])[7:]),
            ("missing-blob", "of art (tag bare)", digest(LARGE[2])),
            ("broken-link", "app/sub/sub/sub/_layers/", digest(LARGE[1])[7:]),
            ("missing-blob", "of app/sub/sub/sub (tag 1)", digest(LARGE[1])),
            ("bad-digest", digest(b"a")), ("missing-blob", "of ix (tag a)", digest(b"a")),
            ("missing-child", "of ix (tag inner)"),
            ("bad-digest", digest(LARGE[3])),
            ("stray", "link.5d2f.tmp"), ("stray", "app/escape"), ("stray", "app/round"),
            ("stray", "\\xff\\xfe"), ("stray", "Not-A-Name"),
            ("unreadable", digest(b"secret bytes")[7:]),
            ("schema1", "of old/one (tag x)"),
            ("broken-link", "tags/dangling/current/link"), ("upload", "crash/_uploads/")):
        assert run.has(kind, *texts), (kind, texts, run.findings)
    report = [json.loads(x) for x in (tmp_path / "report").read_text().splitlines()]
    assert report == run.findings
    server = fresh_berth(data=tmp_path / "data")
    registry = Registry(server.url)
    assert registry.blob("app", digest(b"secret bytes")).status_code == 404
    assert registry.manifest("app", "latest").content == pushed["app"]
    assert registry.manifest("old/one", "x").status_code == 404
    inner = registry.manifest("ix", "inner", headers={"Accept": ACCEPT}).json()
    states = [registry.manifest("ix", m["digest"], headers={"Accept": ACCEPT}).status_code
              for m in inner["manifests"]]
    assert states == [404, 200]
    # Everything that is served is what its digest says.
    for repo, found in links(source.v2, "_layers").items():
        for dgst in found:
            r = registry.blob(repo, dgst)
            assert r.status_code == 404 or digest(r.content, dgst.split(":")[0]) == dgst
    # Repaired from where the bytes came from: the next run completes it.
    hexed = digest(b"a")[7:]
    (source.v2 / f"blobs/sha256/{hexed[:2]}/{hexed}/data").write_bytes(b"a")
    server.stop()
    run = berth_import(source.data, tmp_path / "data")
    assert not run.has("missing-child")
    server.start()
    assert Registry(server.url).manifest("ix", "a", headers={"Accept": ACCEPT}).status_code == 200


def content(data):
    """What is in the database and the store, without numbers and times."""
    with sqlite3.connect(f"file:{data}/berth.db?mode=ro", uri=True) as db:
        def rows(sql):
            return sorted(db.execute(sql).fetchall(), key=repr)
        out = [
            rows("SELECT name FROM repositories"),
            rows("SELECT digest, size, state, is_inline FROM blobs"),
            rows("SELECT b.digest, d.data FROM blob_data d JOIN blobs b ON b.id = d.blob"),
            rows("SELECT r.name, b.digest FROM repo_blobs l JOIN repositories r ON r.id = l.repo "
                 "JOIN blobs b ON b.id = l.blob"),
            rows("SELECT r.name, m.digest, m.media_type, m.subject, p.body FROM manifests m "
                 "JOIN repositories r ON r.id = m.repo JOIN payloads p ON p.id = m.payload"),
            rows("SELECT m.digest, b.digest FROM manifest_blobs e JOIN manifests m "
                 "ON m.id = e.manifest JOIN blobs b ON b.id = e.blob"),
            rows("SELECT m.digest, e.child FROM manifest_children e "
                 "JOIN manifests m ON m.id = e.manifest"),
            rows("SELECT r.name, t.name, m.digest FROM tags t JOIN repositories r ON r.id = t.repo "
                 "JOIN manifests m ON m.id = t.manifest"),
            rows("SELECT * FROM uploads"),
        ]
    files = {str(p.relative_to(data)): hashlib.sha256(p.read_bytes()).hexdigest()
             for p in (Path(data) / "blobs").rglob("*") if p.is_file()}
    return out, files


KILLS = ("import.linked@1", "import.linked@2", "import.repository@1", "import.repository@6",
         "blob.link@2", "blob.link.after@3", "blob.dirsync@1", "blob.dirsync.after@2",
         "meta.commit@1", "meta.commit@3", "meta.committed@2", "meta.committed@5",
         "import.read@100", "import.read@700", "import.mark@2", "import.mark.after@4")


def test_killed(source, fresh_berth, tmp_path):
    """kill -9 at each point, and again: the same as without."""
    source, _ = source
    if not has_faults(binary()):
        pytest.skip("the binary under test has no fault points")
    berth_import(source.data, tmp_path / "whole")
    wanted = content(tmp_path / "whole")
    for k, point in enumerate(KILLS):
        data = tmp_path / f"killed{k}"
        name, passage = point.split("@")
        run = berth_import(source.data, data, faults=f"{name}=kill@{passage}", check=False)
        assert run.status == -signal.SIGKILL, (point, run.status, run.err)
        if k % 3 == 0:  # a server in between settles what was pending
            server = fresh_berth(data=data)
            server.stop()
        berth_import(source.data, data)
        assert content(data) == wanted, point
        assert (data / "adopted.json").exists()
        shutil.rmtree(data)


def test_interrupted(source, tmp_path):
    source, _ = source
    berth_import(source.data, tmp_path / "whole")
    process = subprocess.Popen(
        [binary(), "import", "registry2", source.data, "--data", tmp_path / "data", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "BERTH_FAULTS": "import.read=sleep100+"}
        if has_faults(binary()) else os.environ)
    wait_for((tmp_path / "data/berth.db").exists, what="the database")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if has_faults(binary()):
        assert process.returncode == 1 and "run the same command again" in err, (out, err)
        assert not (tmp_path / "data/adopted.json").exists()
    berth_import(source.data, tmp_path / "data")
    assert content(tmp_path / "data") == content(tmp_path / "whole")


def test_another_file_system(source, fresh_berth, tmp_path):
    source, _ = source
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system that may be written")
    data = other / f"berth-import-{os.getpid()}"
    try:
        before = snapshot(source.data)
        if has_faults(binary()):
            for point in ("stage.write", "stage.sync.after", "blob.replace"):
                berth_import(source.data, data, faults=f"{point}=kill@2", check=False)
        run = berth_import(source.data, data)
        assert run.result["blobs_linked"] == 0
        assert run.result["blobs_copied"] + run.result["blobs_present"] >= 4
        assert snapshot(source.data) == before
        server = fresh_berth(data=data)
        compare(source, server)
        server.stop()
        assert server.stages() == []  # what the kills left was cleared away
        again = berth_import(source.data, data)
        assert again.result["blobs_copied"] == 0
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(params=["xfs", "btrfs"])
def reflinks(request, tmp_path):
    """A small file system that shares blocks between files, mounted."""
    make = {"xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"], "btrfs": ["mkfs.btrfs", "-q"]}[request.param]
    require(make[0])
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    image = tmp_path / "image"
    with open(image, "wb") as f:
        f.truncate(320 << 20)  # mkfs.xfs makes none below 300 MiB
    subprocess.run([tool(make[0]), *make[1:], image], check=True, capture_output=True)
    place = Path(tempfile.mkdtemp(prefix="berth-reflinks-"))  # others than root can get there
    r = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True,
                       check=False)
    if r.returncode:
        place.rmdir()
        pytest.skip(f"no {request.param} can be mounted here: {r.stderr.strip()}")
    try:
        os.chmod(place, 0o755)
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def test_reflinks(reflinks):
    """Another user's files, which cannot be linked, on a file system that can share their blocks:
    the copies need no room, so that there need not be any."""
    if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() != "1":
        pytest.skip("fs.protected_hardlinks is off: the files would be linked")
    v2 = reflinks / "source/docker/registry/v2"
    names = []
    for k in range(3):
        body = os.urandom(8 << 20)
        names.append(hashlib.sha256(body).hexdigest())
        for path, text in ((v2 / f"blobs/sha256/{names[k][:2]}/{names[k]}/data", body),
                           (v2 / f"repositories/a/_layers/sha256/{names[k]}/link",
                            f"sha256:{names[k]}".encode())):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
    data = reflinks / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    program = shutil.copy(binary(), reflinks / "berth")
    # Less than one more copy would take.
    os.sync()
    room = os.statvfs(reflinks)
    with open(reflinks / "filler", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, room.f_bavail * room.f_frsize - (20 << 20))
    os.sync()
    before = snapshot(reflinks / "source")
    r = subprocess.run([program, "import", "registry2", reflinks / "source", "--data", data, "--json"],
                       text=True, capture_output=True, user=65534, group=65534, extra_groups=[],
                       cwd="/", check=False, timeout=120)
    assert r.returncode == 0, (r.stdout, r.stderr)
    result = json.loads(r.stdout.splitlines()[-1])["result"]
    assert result["blobs_linked"] == 0 and result["blobs_copied"] == 3
    assert snapshot(reflinks / "source") == before
    for name in names:
        copy = data / f"blobs/sha256/{name[:2]}/{name}"
        assert copy.stat().st_nlink == 1 and copy.stat().st_uid == 65534
        assert hashlib.sha256(copy.read_bytes()).hexdigest() == name


def test_no_room_for_copies(source, tmp_path):
    """A disk that is too small for copies is told of at once, and stays free."""
    source, _ = source
    data = tmp_path / "small"
    data.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", data],
                                           capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    try:
        large = source.v2 / "repositories/loose/_layers/sha256"
        for k in range(3):
            body = os.urandom(1_000_000)
            hexa = hashlib.sha256(body).hexdigest()
            for path, text in ((source.v2 / f"blobs/sha256/{hexa[:2]}/{hexa}/data", body),
                               (large / hexa / "link", f"sha256:{hexa}".encode())):
                path.parent.mkdir(parents=True)
                path.write_bytes(text)
        run = berth_import(source.data, data, check=False)
        assert run.status == 1 and "are free for copies" in run.err, run.err
        assert not any(p.is_file() for p in (data / "blobs").rglob("*"))
        assert not (data / "adopted.json").exists()
    finally:
        subprocess.run(["umount", data], check=True)


def test_in_place(source, fresh_berth):
    """The data directory is the registry's own, as a drop-in has it; and registry goes on from it,
    if somebody changes his mind."""
    source, pushed = source
    run = berth_import(source.data, source.data)
    assert run.kinds() == {"upload": 1}
    marked = json.loads((source.data / "adopted.json").read_text())
    assert marked["imports"][0]["source"] == "." and marked["imports"][0]["findings"] == 1
    server = fresh_berth(data=source.data)
    compare(source, server)
    registry = Registry(server.url)
    assert registry.delete("/v2/app/manifests/latest").status_code == 202
    server.restart()
    # What was deleted since does not come back with a start.
    assert Registry(server.url).manifest("app", "latest").status_code == 404


def test_serve_adopts(source, fresh_berth):
    """Started on the registry's directory, berth takes it over before it listens, once."""
    source, _ = source
    before = snapshot(source.v2)
    server = fresh_berth(data=source.data)
    assert snapshot(source.v2) == before
    assert compare(source, server)["blobs"] >= 30
    registry = Registry(server.url)
    assert registry.delete("/v2/app/manifests/latest").status_code == 202
    server.restart()
    assert Registry(server.url).manifest("app", "latest").status_code == 404
    assert server.log().count("is taken over") == 1
    # Whoever went back to registry and comes again is told what to do.
    # The log is written by a thread of its own, later than standard output.
    wait_for(lambda: "was taken over before" in server.log(), what="the line in the log")
    server.stop()
    assert server.log().count("was taken over before") == 1
    # What was taken over already, when that cannot be read: not again, which would turn tags back.
    (source.data / "adopted.json").write_text('{"imports": [')
    server.spawn()
    assert server.wait(20) == 1
    assert "adopted.json: is damaged" in server.log()


def test_systemd_waits_for_an_adoption(source, fresh_berth, tmp_path):
    """It is asked for time from the beginning, and what it is told last is not that berth is still
    at it."""
    source, _ = source
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.settimeout(30)
        fresh_berth(data=source.data, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        words = []
        while "READY=1" not in words:
            words += s.recv(4096).decode().splitlines()
    assert words[0] == "EXTEND_TIMEOUT_USEC=60000000"
    assert [w for w in words if w.startswith("STATUS=")][-1] == "STATUS="


def test_serve_does_not_adopt_half(source, fresh_berth):
    """The list of the repositories cannot be read: to start all the same, and to note that all is
    done, would be an empty registry for good."""
    if not has_faults(binary()):
        pytest.skip("the binary under test has no fault points")
    source, _ = source
    server = fresh_berth(data=source.data, start=False)
    server.env["BERTH_FAULTS"] = "import.read=EIO@8"
    server.spawn()
    assert server.wait(30) == 1
    assert "could not be read" in server.log()
    assert not (source.data / "adopted.json").exists()
    server.env.pop("BERTH_FAULTS")
    server.start()
    assert compare(source, server)["blobs"] >= 30


def test_serve_is_stopped_while_it_adopts(source, fresh_berth):
    """systemd may want that at any time: it is no failure, and the next start goes on."""
    if not has_faults(binary()):
        pytest.skip("the binary under test has no fault points")
    source, _ = source
    server = fresh_berth(data=source.data, start=False)
    server.env["BERTH_FAULTS"] = "import.linked=sleep100+"
    server.spawn()
    wait_for(lambda: "taking it over" in server.log(), what="the beginning")
    server.signal(signal.SIGTERM)
    assert server.wait(60) == 0, server.log()
    assert "the next start goes on" in server.log()
    assert not (source.data / "adopted.json").exists()
    server.env.pop("BERTH_FAULTS")
    server.start()
    assert compare(source, server)["blobs"] >= 30


def test_almost_empty(tmp_path, fresh_berth):
    """A repository without content; --dry-run makes nothing; the directory itself is named."""
    v2 = tmp_path / "source/docker/registry/v2"
    (v2 / "repositories/x/_layers").mkdir(parents=True)
    (v2 / "repositories/x/_manifests/tags").mkdir(parents=True)
    run = berth_import(tmp_path / "source", None, "--dry-run")
    assert run.status == 0 and run.result["repositories"] == 1
    assert sorted(os.listdir(tmp_path)) == ["source"]
    server = fresh_berth()
    server.stop()
    assert berth_import(v2, server.data).status == 0
    server.start()
    assert catalog(Registry(server.url)) == ["x"]


def test_without_permission(source, request):
    """--dry-run needs no more than to read; and who may not read all of it is told so."""
    source, _ = source
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # The way to tmp_path is private, and that of other tests too, which may run beside this one.
    place = Path(tempfile.mkdtemp(prefix="berth-import-"))
    request.addfinalizer(lambda: shutil.rmtree(place))
    os.chmod(place, 0o755)
    registry = Path(shutil.copytree(source.data, place / "source"))
    berth = shutil.copy(binary(), place / "berth")  # who knows who may enter the build directory

    def as_nobody(*args):
        return subprocess.run([berth, "import", "registry2", registry, *args], text=True,
                              capture_output=True, user=65534, group=65534, extra_groups=[],
                              cwd="/", check=False, timeout=120)

    run = as_nobody("--dry-run")
    assert run.returncode == 3 and "A dry run" in run.stdout, (run.stdout, run.stderr)
    secret = registry / "docker/registry/v2/repositories/app/_manifests"
    os.chmod(secret, 0o700)
    run = as_nobody("--dry-run")
    assert run.returncode == 1 and "permission denied" in run.stderr
    os.chmod(secret, 0o755)
    run = as_nobody("--data", str(place / "not/mine"))
    assert run.returncode == 1 and f"{place}/not" in run.stderr
    # Files of another user cannot be linked; that is said. Nor does root write into his directory.
    data = place / "his"
    data.mkdir()
    os.chown(data, 65534, 65534)
    run = berth_import(registry, data, check=False)
    assert run.status == 1 and "belongs to user 65534" in run.err and not os.listdir(data)
    run = as_nobody("--data", str(data))
    assert run.returncode == 3, run.stderr
    if Path("/proc/sys/fs/protected_hardlinks").read_text().strip() == "1":
        assert re.search(r"^ +0  blobs as hard links$", run.stdout, re.M)
        assert "cannot be hard links" in run.stderr and "are copied" in run.stderr


def test_command_line(source, tmp_path):
    source, _ = source

    def run(*args, **kw):
        return subprocess.run([binary(), "import", *args], capture_output=True, text=True,
                              check=False, timeout=120, **kw)

    data = str(tmp_path / "data")
    for args in ((), ("registry3x", "d"), ("registry2",), ("registry2", "a", "b"),
                 ("registry2", "a", "--what"), ("registry2", "a", "--verify", "half"),
                 ("registry2", "a", "--threads", "0"), ("registry2", "a", "--threads=x"),
                 ("registry2", "a", "--data", "x", "--config", "y"), ("registry2", "a", "--data")):
        r = run(*args)
        assert r.returncode == 2 and "berth help import" in r.stderr or args == (), (args, r)
        assert r.returncode == 2
    r = run("registry2", str(tmp_path / "nowhere"), "--data", data)
    assert r.returncode == 1 and "nowhere" in r.stderr
    r = run("registry2", str(source.data), "--data", data, "--report", str(tmp_path / "no/where"))
    assert r.returncode == 1 and "report" in r.stderr
    r = run("registry2", str(source.data), "--data", data, "--threads", "1", "--report",
            str(tmp_path / "report"))
    assert r.returncode == 3, r
    assert "upload: docker/registry/v2/repositories/crash/_uploads/" in r.stdout
    assert re.search(r"^ +1  findings$", r.stdout, re.M) and re.search(r"^in 0:", r.stdout, re.M)
    assert (tmp_path / "report").read_text().startswith("upload: ")
    # By configuration, and by environment.
    config = tmp_path / "config.yml"
    config.write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {data}\n")
    r = run("registry2", str(source.data), "--config", str(config))
    assert r.returncode == 3 and re.search(r"^ +[1-9]\d*  blobs that were there", r.stdout, re.M)
    env = {**os.environ, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": data}
    r = run("registry2", str(source.data), env=env)
    assert r.returncode == 3 and re.search(r"^ +0  blobs as hard links", r.stdout, re.M)
    config.write_text("version: 0.1\nstorage: inmemory\n")
    r = run("registry2", str(source.data), "--config", str(config))
    assert r.returncode == 1 and "memory" in r.stderr
    assert run("registry2", str(source.data), "--config", str(tmp_path / "none")).returncode == 1
    # Many of a kind: some are shown, all are counted.
    uploads = source.v2 / "repositories/crash/_uploads"
    for k in range(60):
        (uploads / f"more{k}").mkdir()
    r = run("registry2", str(source.data), "-n")
    assert r.stdout.count("upload: docker") == 20 and "--report" in r.stdout
    assert re.search(r"^ +61    upload$", r.stdout, re.M)


def test_terminal(source, tmp_path):
    """A bar, on a terminal."""
    require("script")
    source, _ = source
    r = subprocess.run(["script", "-qec", f"{binary()} import registry2 {source.data} --data "
                        f"{tmp_path}/data", "/dev/null"], capture_output=True, check=False,
                       timeout=120, stdin=subprocess.DEVNULL)
    assert r.returncode == 3
    assert b"100 %" in r.stdout and b"left" in r.stdout and b"repositories: " in r.stdout


def test_source_is_real(made):
    """skopeo pushed real layers and configs, so that the comparisons above mean something."""
    server, _ = made
    big = [p for p in (server.v2 / "blobs").rglob("data") if p.stat().st_size > 64 * 1024]
    assert any(p.read_bytes()[:2] == b"\x1f\x8b" and gzip.decompress(p.read_bytes()) for p in big)
    assert DOCKER_CONFIG.encode() in b"".join(
        p.read_bytes() for p in (server.v2 / "blobs").rglob("data") if p.stat().st_size < 5000)
