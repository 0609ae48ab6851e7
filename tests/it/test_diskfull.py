# SPDX-License-Identifier: Apache-2.0
"""A full disk and a failing one (DESIGN part 5, reliability.md G6 and G7): clean 5xx answers, reads
go on, and writes come back by themselves, without a restart. Injected through the fault points, and
once with a real full file system."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import binary, has_faults, wait_for
from registry_client import Registry, digest, image

needs_faults = pytest.mark.skipif(not has_faults(binary()),
                                  reason="the binary under test has no fault points")


def clean_failure(r, *statuses):
    assert r.status_code in (statuses or (500, 503, 507)), (r.status_code, r.text)
    assert r.headers["Content-Type"].split(";")[0] == "application/json"
    assert r.json()["errors"][0]["code"]
    assert r.headers["X-Request-Id"]


def try_push(registry, repo, data):
    """The first answer that is no success, or None."""
    r = registry.post(f"/v2/{repo}/blobs/uploads/")
    if r.status_code != 202:
        return r
    r = registry.finish(r.headers["Location"], digest(data), data)
    return None if r.status_code == 201 else r


@needs_faults
@pytest.mark.parametrize("point,error", [
    ("stage.create", "ENOSPC"), ("stage.write", "ENOSPC"), ("stage.write", "EIO"),
    ("stage.write", "EDQUOT"), ("stage.sync", "EIO"), ("stage.sync", "ENOSPC"),
    ("blob.link", "ENOSPC"), ("blob.link", "EIO"), ("blob.dirsync", "EIO"),
    ("meta.commit", "EIO"), ("meta.commit", "ENOSPC"), ("manifest.put", "ENOSPC")])
def test_one_failure(fresh_berth, point, error):
    """Each kind of failure, once: no false 2xx, no crash, and soon all is well."""
    server = fresh_berth()
    registry = Registry(server.url)
    old = os.urandom(100_000)
    registry.push_blob("a", old)
    kept = registry.push_image("a", "kept")
    server.stop()
    server.env["BERTH_FAULTS"] = f"{point}={error}"
    server.start()
    registry = Registry(server.url)
    data = os.urandom(300_000)

    def push():
        r = try_push(registry, "a", data)
        if r is None:
            r = registry.put_manifest("a", "new", image(data, []))
        return r

    first = push()
    if first.status_code != 201:
        clean_failure(first)
    # Reads go on.
    assert registry.blob("a", digest(old)).content == old
    assert registry.manifest("a", "kept").content == kept
    assert server.debug("/livez")[0] == 200
    answer = wait_for(lambda: (lambda r: r if r.status_code == 201 else None)(push()), 15,
                      "writing again")
    assert answer.status_code == 201
    server.stop()
    server.env.pop("BERTH_FAULTS")
    server.start()
    registry = Registry(server.url)
    assert registry.blob("a", digest(data)).content == data
    assert registry.manifest("a", "new").content == image(data, [])


@needs_faults
@pytest.mark.parametrize("spec", ["stage.write=ENOSPC+", "stage.sync=EIO+,store.probe=EIO+",
                                  "stage.create=ENOSPC+"])
def test_lasting_failure(fresh_berth, spec):
    """Every push fails cleanly, every read works, small blobs (which need no file) included."""
    server = fresh_berth()
    registry = Registry(server.url)
    old = os.urandom(200_000)
    registry.push_blob("a", old)
    body = registry.push_image("a", "t")
    server.stop()
    server.env["BERTH_FAULTS"] = spec
    server.start()
    registry = Registry(server.url)
    for _ in range(10):
        r = try_push(registry, "a", os.urandom(200_000))
        assert r is not None, "a push cannot have been made durable"
        clean_failure(r)
        assert registry.blob("a", digest(old)).content == old
        assert registry.manifest("a", "t").content == body
    assert server.debug("/livez")[0] == 200


@needs_faults
@pytest.mark.parametrize("how", ["put", "patch"])
def test_a_failed_sync_is_never_retried_on_that_data(fresh_berth, how):
    """The upload is given up: its session cannot be finished later with the bytes whose fate nobody
    knows."""
    server = fresh_berth(env={"BERTH_FAULTS": "stage.sync=EIO"})
    registry = Registry(server.url)
    data = os.urandom(200_000)
    location = registry.start("a")
    if how == "put":
        clean_failure(registry.finish(location, digest(data), data))
    else:
        r = registry.append(location, data)
        if r.status_code == 202:  # it is synced at the end only
            r = registry.finish(location, digest(data))
        clean_failure(r)
    wait_for(lambda: try_push(registry, "b", data + b"x") is None, 15, "writing again")
    r = registry.finish(location, digest(data))
    assert r.status_code != 201
    assert registry.blob("a", digest(data), "HEAD").status_code == 404
    assert try_push(registry, "a", data) is None
    assert registry.blob("a", digest(data)).content == data


@pytest.fixture
def small_disk():
    """A file system of 48 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    d = Path(tempfile.mkdtemp(prefix="berth-disk."))
    run = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", d],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        d.rmdir()
        pytest.skip(f"this machine does not mount a tmpfs: {run.stderr.strip()}")
    yield d
    subprocess.run(["umount", "-l", d], check=False)
    shutil.rmtree(d, ignore_errors=True)


def test_a_real_full_disk(fresh_berth, small_disk):
    """Until nothing fits any more; then space returns."""
    server = fresh_berth(data=small_disk / "data")
    registry = Registry(server.url)
    first = os.urandom(1_000_000)
    registry.push_blob("a", first)
    body = registry.push_image("a", "t")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(20_000_000))
    failed = None
    for k in range(60):
        data = os.urandom(1_000_000)
        failed = try_push(registry, "a", data)
        if failed is not None:
            break
    assert failed is not None, "60 MB cannot fit on 48 MiB"
    clean_failure(failed)
    # What could not be completed gives its space back.
    held = sum((server.data / "uploads" / name).stat().st_size for name in server.stages())
    assert held < 100_000, f"{held} bytes of failed uploads are kept on a full disk"
    # Take the last bytes too, so that the database has none either.
    with open(filler, "ab", buffering=0) as f:
        try:
            while f.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
        try:
            while f.write(bytes(512)):
                pass
        except OSError:
            pass
    outcomes = []
    for k in range(5):
        for r in (try_push(registry, "a", os.urandom(200_000)),
                  try_push(registry, "a", os.urandom(50_000)),
                  registry.put_manifest("a", f"n{k}", image(b"{}", [], annotations={"k": str(k)}))):
            if r is not None and r.status_code != 201:
                clean_failure(r)
                outcomes.append(r.status_code)
        assert registry.blob("a", digest(first)).content == first
        assert registry.manifest("a", "t").content == body
        assert registry.tags("a").status_code == 200
    assert outcomes
    assert server.debug("/livez")[0] == 200
    filler.unlink()
    registry.blob("a", digest(data), "DELETE")
    small = os.urandom(60_000)
    wait_for(lambda: try_push(registry, "a", small) is None, 10, "writing again")
    wait_for(lambda: try_push(registry, "a", os.urandom(100_000)) is None, 10, "writing files again")
    server.restart(hard=True)
    registry = Registry(server.url)
    assert registry.blob("a", digest(first)).content == first
    assert registry.blob("a", digest(small)).content == small
    server.stop()
