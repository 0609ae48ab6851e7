# SPDX-License-Identifier: Apache-2.0
"""What becomes of a push that fails, is cut off, purged or repeated: nothing that was acknowledged
is lost, nothing of another's is touched, and the client can always go on (DESIGN part 5)."""

import os
import signal
import threading
import time

import pytest
import requests
from harness import binary, has_faults, quickest, wait_for
from registry_client import Raw, Registry, closing, digest, error_of, image, raw
from test_diskfull import clean_failure
from test_upload_resume import received, settled

needs_faults = pytest.mark.skipif(not has_faults(binary()),
                                  reason="the binary under test has no fault points")
LARGE = 300_000  # a file; what is small is in the database
SMALL = 3_000
PURGING = {"storage.maintenance.uploadpurging.age": "2s",
           "storage.maintenance.uploadpurging.interval": "1s"}


def blob_file(server, dgst):
    hexed = dgst.split(":")[1]
    return server.data / "blobs/sha256" / hexed[:2] / hexed


def restarted(server, faults=None, hard=False):
    """The same data in a new process with these faults; a client of it."""
    if server.process is not None:
        if hard:
            server.kill9()
        else:
            server.stop()
    server.env.pop("BERTH_FAULTS", None)
    if faults:
        server.env["BERTH_FAULTS"] = faults
    server.start()
    return Registry(server.url)


def purged(server, count=1):
    wait_for(lambda: server.metric_sum("berth_uploads_purged_total") >= count, 20, "a purge")


def upload_unknown(registry, location):
    """Nobody can go on with it, whatever is tried."""
    for r in (registry.append(location, b"overwritten", start=0),
              registry.append(location, b"overwritten"),
              registry.finish(location, digest(b"overwritten"), b"overwritten"),
              registry.get(location), registry.delete(location)):
        error_of(r, 404, "BLOB_UPLOAD_UNKNOWN")


# --- whose bytes they are ---

@needs_faults
@pytest.mark.parametrize("recovered", [False, True], ids=["replaced", "shared"])
def test_a_purged_upload_leaves_the_blob_of_another(fresh_berth, recovered):
    """The push of evil stopped after its link. Whether good's push replaces that file or finds it
    there (a restart has settled it), nothing that evil does later changes what good has."""
    server = fresh_berth(options=PURGING, env={"BERTH_FAULTS": "push.linked=EIO"})
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    dgst = digest(data)
    location = registry.start("evil")
    r = registry.append(location, data, start=0)
    assert r.status_code == 202
    location = r.headers["Location"]
    clean_failure(registry.finish(location, dgst))
    linked = blob_file(server, dgst).stat().st_ino
    assert linked == (server.data / "uploads" / server.stages()[0]).stat().st_ino
    if recovered:
        registry = restarted(server)
        wait_for(lambda: server.metric_sum("berth_recovered_total") >= 1, 20, "the recovery")
        assert received(registry, location) == LARGE  # the session is open in this process again
    registry.push_blob("good", data)
    assert (blob_file(server, dgst).stat().st_ino == linked) == recovered
    purged(server)
    assert server.stages() == []
    upload_unknown(registry, location)
    for hard in (None, False, True):
        if hard is not None:
            registry = restarted(server, hard=hard)
        assert blob_file(server, dgst).read_bytes() == data
        assert registry.blob("good", dgst).content == data
        upload_unknown(registry, location)
    assert registry.blob("evil", dgst).status_code == 404


@needs_faults
@pytest.mark.parametrize("recovered", [False, True], ids=["replaced", "shared"])
def test_an_upload_that_goes_on_leaves_the_blob_of_another(fresh_berth, recovered):
    """The same, but evil goes on with its session instead of leaving it to the purge."""
    server = fresh_berth(env={"BERTH_FAULTS": "push.linked=EIO"})
    registry = Registry(server.url)
    data, more = os.urandom(LARGE), os.urandom(1000)
    location = registry.start("evil")
    r = registry.append(location, data, start=0)
    clean_failure(registry.finish(r.headers["Location"], digest(data)))
    if recovered:
        registry = restarted(server)
        wait_for(lambda: server.metric_sum("berth_recovered_total") >= 1, 20, "the recovery")
    registry.push_blob("good", data)
    assert registry.append(location, more, start=LARGE).status_code == 202
    assert blob_file(server, digest(data)).read_bytes() == data
    assert registry.finish(location, digest(data + more)).status_code == 201
    for _ in range(2):
        assert registry.blob("good", digest(data)).content == data
        assert registry.blob("evil", digest(data + more)).content == data + more
        registry = restarted(server, hard=True)
    assert server.stages() == []


@needs_faults
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_nothing_is_left_of_a_cancelled_push(fresh_berth, size):
    server = fresh_berth(env={"BERTH_FAULTS": "push.linked=EIO,push.pending=EIO@2"})
    registry = Registry(server.url)
    for data in (os.urandom(size), os.urandom(size)):
        location = registry.start("a")
        r = registry.finish(location, digest(data), data)
        if r.status_code == 201:  # a small blob does not pass these points
            assert size == SMALL
            continue
        clean_failure(r)
        assert registry.delete(location).status_code == 204
        upload_unknown(registry, location)
    assert server.stages() == []
    registry = restarted(server)
    assert server.stages() == []
    registry.push_blob("a", os.urandom(LARGE))
    registry = restarted(server, hard=True)
    assert server.stages() == []


def test_a_slow_upload_is_not_purged(fresh_berth):
    """Whoever writes is going on with it, however long that takes."""
    server = fresh_berth(options=PURGING)
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    location, idle = registry.start("a"), registry.start("a")
    with Raw(server.url) as c:
        c.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n")
        c.send(data[:100_000])
        purged(server)
        time.sleep(3)
        error_of(registry.get(idle), 404, "BLOB_UPLOAD_UNKNOWN")
        c.send(data[100_000:])
        assert c.response("PATCH")[0] == 202
    assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob("a", digest(data)).content == data


# --- the same request again ---

PUSH_POINTS = ["stage.create=ENOSPC", "stage.write=ENOSPC", "push.pending=EIO", "push.pended=EIO",
               "blob.link=EIO", "push.linked=EIO", *(f"meta.commit=ENOSPC@{n}" for n in range(1, 7)),
               *(f"meta.begin=EIO@{n}" for n in (2, 3, 4))]


@needs_faults
@pytest.mark.parametrize("spec", PUSH_POINTS)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_failed_put_repeated(fresh_berth, spec, size):
    """Identically and at once, with all bytes or with the last part of them."""
    server = fresh_berth(env={"BERTH_FAULTS": spec})
    registry = Registry(server.url)
    failures = []

    def until_success(send, status):
        for _ in range(3):
            r = send()
            if r.status_code == status:
                return r
            clean_failure(r)
            failures.append(r.status_code)
        raise AssertionError((failures, r.text))

    for first in (0, size // 3):
        data = os.urandom(size)
        location = until_success(lambda: registry.post("/v2/a/blobs/uploads/"),
                                 202).headers["Location"]
        if first:
            r = until_success(lambda: registry.append(location, data[:first], start=0), 202)
            location = r.headers["Location"]
        until_success(lambda: registry.finish(location, digest(data), data[first:]), 201)
        assert registry.blob("a", digest(data)).content == data
        assert registry.finish(location, digest(data), data[first:]).status_code == 201
    assert len(failures) <= 1
    registry = restarted(server, hard=True)
    assert registry.blob("a", digest(data)).content == data
    assert server.stages() == []


@needs_faults
@pytest.mark.parametrize("spec", ["stage.write=ENOSPC+", "meta.commit=ENOSPC+"])
def test_no_conflict_after_a_failure(fresh_berth, spec):
    """Whoever has the answer has the session, on another connection too: no 409 because the failed
    request is still being put away."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    location = registry.start("a")
    registry = restarted(server, spec)
    head = {"Content-Length": LARGE, "Content-Range": f"0-{LARGE - 1}"}
    for _ in range(40):
        for method, target in (("PATCH", location), ("PUT", closing(location, digest(data)))):
            with Raw(server.url) as c, Raw(server.url) as other:
                c.request(method, target, head, data)
                status = c.response(method)[0]
                assert status in (500, 503, 507), status
                other.request("PATCH", location, {"Content-Length": 0})
                assert other.response("PATCH")[0] != 409
    assert received(registry, location) == 0
    registry = restarted(server)
    assert registry.finish(location, digest(data), data).status_code == 201


def test_no_conflict_after_a_wrong_range(berth, registry, repo):
    """The answer 416 says where to go on, and that can be done at once."""
    data = os.urandom(100)
    for _ in range(100):
        location = registry.start(repo)
        for at in range(0, 100, 50):
            with Raw(berth.url) as c:
                c.request("PATCH", location, {"Content-Length": 50, "Content-Range": "7-56"},
                          data[:50])
                status, headers, _ = c.response("PATCH")
                assert status == 416
                with Raw(berth.url) as other:
                    other.request("PATCH", headers["Location"], {"Content-Length": 50},
                                  data[at:at + 50])
                    status, headers, _ = other.response("PATCH")
                    assert status == 202, status
                    location = headers["Location"]
        assert registry.finish(location, digest(data)).status_code == 201


@needs_faults
def test_a_broken_stage_is_not_the_end_of_the_upload(fresh_berth):
    """A write fails and its part cannot be cut off: the file is as it should be once more as soon
    as the disk works again, or the upload is gone."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    location = registry.start("a")
    assert registry.append(location, data[:100_000], start=0).status_code == 202
    registry = restarted(server, "stage.write=ENOSPC,stage.truncate=EIO")
    clean_failure(registry.append(location, data[100_000:], start=100_000))
    assert received(registry, location) == 100_000
    r = registry.append(location, data[100_000:], start=100_000)
    assert r.status_code == 202, r.text
    assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob("a", digest(data)).content == data


# --- a failed sync ---

@needs_faults
@pytest.mark.parametrize("n", range(1, 6))
def test_a_failed_sync_of_a_patch(fresh_berth, n):
    """The session is what GET says, or gone; never a 5xx without end."""
    server = fresh_berth(env={"BERTH_FAULTS": f"stage.sync=EIO@{n}"})
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    location = registry.start("a")
    answers = []
    for at in range(0, LARGE, LARGE // 3):
        r = registry.append(location, data[at:at + LARGE // 3], start=at)
        answers.append(r)
        if r.status_code != 202:
            break
    if len([r for r in answers if r.status_code == 202]) < 3:
        clean_failure(answers[-1])
        wait_for(lambda: registry.post("/v2/a/blobs/uploads/").status_code == 202 and
                 not server.metric_sum("berth_store_read_only"), 20, "writing again")
    r = registry.get(location)
    if r.status_code == 404:
        error_of(registry.append(location, data, start=0), 404, "BLOB_UPLOAD_UNKNOWN")
        registry.push_blob("a", data)
    else:
        at = received(registry, location)
        assert at % (LARGE // 3) == 0 and at <= LARGE
        if at < LARGE:
            r = registry.append(location, data[at:], start=at)
            assert r.status_code == 202, r.text
        assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob("a", digest(data)).content == data
    registry = restarted(server, hard=True)
    assert registry.blob("a", digest(data)).content == data
    wait_for(lambda: server.stages() == [], what="an empty uploads directory")


# --- restarts ---

@pytest.mark.parametrize("size", [40_000, 2_000_000])
@pytest.mark.parametrize("before", [0, 25_000], ids=["first", "second"])
def test_what_get_said_is_true_after_a_kill(fresh_berth, size, before):
    """The client was told N bytes of a PATCH that broke off: it will not send those again."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(before + size)
    location = registry.start("a")
    if before:
        assert registry.append(location, data[:before], start=0).status_code == 202
    c = Raw(server.url)
    c.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Range: {before}-{len(data) - 1}\r\n"
           f"Content-Length: {size}\r\n\r\n")
    c.send(data[before:before + size * 2 // 3])
    time.sleep(0.3)
    c.abort()
    at = settled(registry, location)
    assert before <= at <= before + size * 2 // 3
    registry = restarted(server, hard=True)
    assert received(registry, location) == at
    r = registry.append(location, data[at:], start=at)
    assert r.status_code == 202, r.text
    assert registry.finish(location, digest(data)).status_code == 201
    assert registry.blob("a", digest(data)).content == data


@pytest.mark.parametrize("first", [SMALL, 200_000])
@pytest.mark.parametrize("rest", [SMALL, 1_000_000])
def test_a_put_cut_off_by_a_kill_repeated(fresh_berth, first, rest):
    """The PATCH before it was acknowledged; the body of the PUT counts for nothing."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(first + rest)
    location = registry.start("a")
    r = registry.append(location, data[:first], start=0)
    assert r.status_code == 202
    location = r.headers["Location"]
    for part in (rest // 3, rest - 1):
        c = Raw(server.url)
        c.send(f"PUT {closing(location, digest(data))} HTTP/1.1\r\nHost: x\r\n"
               f"Content-Length: {rest}\r\n\r\n")
        c.send(data[first:first + part])
        time.sleep(0.3)
        registry = restarted(server, hard=True)
        c.close()
        assert received(registry, location) == first
    r = registry.finish(location, digest(data), data[first:])
    assert r.status_code == 201, r.text
    assert registry.blob("a", digest(data)).content == data
    assert server.stages() == []


@needs_faults
@pytest.mark.parametrize("point", ["stage.sync", "stage.sync.after", "push.pending", "push.pended",
                                   "blob.link.after", "push.linked", "push.live",
                                   "stage.unlink", "push.done"])
@pytest.mark.parametrize("first", [0, 200_000], ids=["put", "patch-put"])
def test_a_put_killed_in_its_commit_repeated(fresh_berth, point, first):
    """In each window: the same PUT after the restart gets its 201."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    location = registry.start("a")
    if first:
        r = registry.append(location, data[:first], start=0)
        assert r.status_code == 202
        location = r.headers["Location"]
    registry = restarted(server, f"{point}=kill")
    with pytest.raises(requests.exceptions.RequestException):
        registry.finish(location, digest(data), data[first:])
    assert server.wait(30) == -signal.SIGKILL
    server.process = None
    registry = restarted(server)
    for _ in range(2):
        r = registry.finish(location, digest(data), data[first:])
        assert r.status_code == 201, r.text
    assert registry.blob("a", digest(data)).content == data
    wait_for(lambda: server.stages() == [], what="an empty uploads directory")


# --- cancelling ---

@needs_faults
@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_a_cancel_that_fails(fresh_berth, size):
    """204 only when it is gone; otherwise all of it is there still, and usable."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(size + 500)
    locations = [registry.start("a") for _ in range(2)]
    for location in locations:
        if size:
            assert registry.append(location, data[:size], start=0).status_code == 202
    stages = server.stages()
    for spec in ("meta.commit=ENOSPC+", "meta.begin=EIO+"):
        registry = restarted(server, spec)
        for location in locations * 2:
            clean_failure(registry.delete(location))
            assert received(registry, location) == size
        assert server.stages() == stages
    registry = restarted(server)
    assert registry.append(locations[0], data[size:], start=size).status_code == 202
    assert registry.finish(locations[0], digest(data)).status_code == 201
    assert registry.delete(locations[1]).status_code == 204
    upload_unknown(registry, locations[1])
    assert server.stages() == []


# --- a blob that is lost ---

def push_with_patch(registry, repo, data):
    location = registry.start(repo)
    r = registry.append(location, data)
    assert r.status_code == 202
    return registry.finish(r.headers["Location"], digest(data))


def push_with_put(registry, repo, data):
    return registry.finish(registry.start(repo), digest(data), data)


def push_with_post(registry, repo, data):
    return registry.post(f"/v2/{repo}/blobs/uploads/?digest={digest(data)}", data=data)


@pytest.mark.parametrize("push", [push_with_patch, push_with_put, push_with_post])
@pytest.mark.parametrize("damage", ["removed", "truncated", "emptied"])
@pytest.mark.parametrize("read_before", [False, True])
def test_a_lost_file_is_repaired_by_a_push(fresh_berth, push, damage, read_before):
    """HEAD does not say that it is there, so the client pushes it, and the push writes it."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(LARGE)
    dgst = registry.push_blob("a", data)
    if read_before:  # its descriptor is kept
        assert registry.blob("a", dgst).content == data
    else:
        registry = restarted(server)
    path = blob_file(server, dgst)
    if damage == "removed":
        path.unlink()
    else:
        os.truncate(path, 0 if damage == "emptied" else LARGE - 1)
    assert registry.blob("a", dgst, "HEAD").status_code == 404
    if not read_before:
        r = registry.blob("a", dgst)
        assert r.status_code >= 400
    r = push(registry, "a", data)
    assert r.status_code == 201, r.text
    assert path.read_bytes() == data
    for _ in range(2):
        r = registry.blob("a", dgst, "HEAD")
        assert r.status_code == 200 and int(r.headers["Content-Length"]) == LARGE
        r = registry.blob("a", dgst)
        assert r.status_code == 200 and r.content == data
        registry = restarted(server, hard=True)
    assert server.stages() == []


@pytest.mark.parametrize("push", [push_with_patch, push_with_put, push_with_post])
def test_a_lost_small_file_is_repaired_by_a_push(fresh_berth, push):
    """A small blob is a file when more was announced than came. The push that repairs it is kept in
    the database, like every small one."""
    server = fresh_berth()
    registry = Registry(server.url)
    data = os.urandom(SMALL)
    path = registry.start("a").split("?")[0]
    with Raw(server.url) as c:
        c.request("PATCH", path, {"Content-Length": LARGE}, data)
        wait_for(lambda: server.stages(), what="the temporary file")
    r = wait_for(lambda: (r := registry.get(path)).headers.get("Range") == f"0-{SMALL - 1}" and r)
    assert registry.finish(r.headers["Location"], digest(data)).status_code == 201
    blob_file(server, digest(data)).unlink()
    registry = restarted(server)
    assert registry.blob("a", digest(data), "HEAD").status_code == 404
    assert push(registry, "a", data).status_code == 201
    for _ in range(2):
        assert registry.blob("a", digest(data), "HEAD").status_code == 200
        assert registry.blob("a", digest(data)).content == data
        registry = restarted(server, hard=True)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_tombstone_of_a_deleted_blob(registry, repo, size):
    """The repeated PUT gets its 201 only while that is true."""
    data = os.urandom(size)
    location = registry.start(repo)
    for _ in range(2):
        assert registry.finish(location, digest(data), data).status_code == 201
    assert registry.blob(repo, digest(data), "DELETE").status_code == 202
    error_of(registry.finish(location, digest(data), data), 404, "BLOB_UPLOAD_UNKNOWN")
    assert registry.blob(repo, digest(data), "HEAD").status_code == 404
    assert registry.push_blob(repo, data) == digest(data)
    assert registry.blob(repo, digest(data)).content == data


# --- conditions ---

def test_conditional_delete(registry, repo):
    """Nothing is deleted that is not what the client means."""
    body, other = (registry.push_image(repo, tag, b'{"k":"%s"}' % tag.encode())
                   for tag in ("t", "o"))
    dgst = digest(body)
    for ref in ("t", dgst):
        for value in (f'"{digest(other)}"', '"x"', f'"{digest(other)}", "x"', f'W/"{dgst}"'):
            r = registry.manifest(repo, ref, "DELETE", headers={"If-Match": value})
            error_of(r, 412, "PRECONDITION_FAILED")
        r = registry.manifest(repo, ref, "DELETE", headers={"If-None-Match": f'"{dgst}"'})
        error_of(r, 412, "PRECONDITION_FAILED")
        assert registry.manifest(repo, "t").content == body
        assert registry.manifest(repo, dgst).content == body
    r = registry.manifest(repo, "t", "DELETE", headers={"If-Match": f'"x", "{dgst}"'})
    assert r.status_code == 202
    assert registry.manifest(repo, "t").status_code == 404
    assert registry.manifest(repo, dgst).content == body
    r = registry.manifest(repo, dgst, "DELETE", headers={"If-Match": "*"})
    assert r.status_code == 202
    assert registry.manifest(repo, dgst).status_code == 404
    for ref in ("t", dgst):
        r = registry.manifest(repo, ref, "DELETE", headers={"If-Match": "*"})
        error_of(r, 412, "PRECONDITION_FAILED")
    assert registry.manifest(repo, "o").content == other


def test_conditional_put(registry, repo):
    registry.push_blob(repo, b"{}")
    bodies = [image(b"{}", [], annotations={"n": str(k)}) for k in range(4)]
    tags = [f'"{digest(b)}"' for b in bodies]

    def put(k, ref="t", **headers):
        return registry.put_manifest(repo, ref, bodies[k],
                                     headers={n.replace("_", "-"): v for n, v in headers.items()})

    error_of(put(0, If_Match="*"), 412, "PRECONDITION_FAILED")
    error_of(put(0, If_Match=tags[0]), 412, "PRECONDITION_FAILED")
    assert registry.manifest(repo, "t").status_code == 404
    assert registry.manifest(repo, digest(bodies[0])).status_code == 404
    assert put(0, If_None_Match=tags[0]).status_code == 201  # nothing is there to match
    error_of(put(1, If_None_Match=tags[0]), 412, "PRECONDITION_FAILED")
    error_of(put(1, If_None_Match=f"{tags[3]}, {tags[0]}"), 412, "PRECONDITION_FAILED")
    error_of(put(1, If_Match=f"{tags[1]}, {tags[3]}"), 412, "PRECONDITION_FAILED")
    assert registry.manifest(repo, "t").content == bodies[0]
    assert put(1, If_Match=f"{tags[3]}, {tags[0]}").status_code == 201
    assert put(2, If_None_Match=tags[0]).status_code == 201
    assert put(3, If_Match="*").status_code == 201
    assert registry.manifest(repo, "t").content == bodies[3]
    # By digest: of that manifest.
    error_of(put(3, digest(bodies[3]), If_None_Match="*"), 412, "PRECONDITION_FAILED")
    assert put(3, digest(bodies[3]), If_Match="*").status_code == 201
    fresh = image(b"{}", [], annotations={"n": "fresh"})
    r = registry.put_manifest(repo, digest(fresh), fresh, headers={"If-Match": "*"})
    error_of(r, 412, "PRECONDITION_FAILED")


# --- queries that cannot be decoded ---

def test_malformed_percent_encoding(berth, registry, repo):
    data = os.urandom(100)
    registry.push_blob(repo + "-from", data)
    there = f"/v2/{repo}/blobs/uploads/"
    for bad in ("%zz", "%", "%2", "a%2fb%"):
        # A mount that cannot be done is an ordinary upload.
        status, headers, _ = raw(berth.url, "POST", f"{there}?mount={digest(data)}&from={bad}",
                                 {"Content-Length": 0})
        assert status == 202, bad
        assert registry.blob(repo, digest(data), "HEAD").status_code == 404
        assert registry.delete(headers["Location"]).status_code == 204
        # A digest that cannot be read is not one that was not given.
        status, _, body = raw(berth.url, "POST", f"{there}?digest={bad}",
                              {"Content-Length": 100}, data)
        assert status == 400 and b"DIGEST_INVALID" in body, bad
        location = registry.start(repo)
        status, _, body = raw(berth.url, "PUT", f"{location}&digest={bad}",
                              {"Content-Length": 100}, data)
        assert status == 400 and b"DIGEST_INVALID" in body, bad
        assert registry.finish(location, digest(data), data).status_code == 201
        assert registry.blob(repo, digest(data), "DELETE").status_code == 202


# --- readers and a slow disk ---

@needs_faults
def test_readers_do_not_wait_for_commits(fresh_berth):
    """The database's disk takes three seconds for each commit, and many clients push: pulls and
    the health checks are answered as if nothing were the matter."""
    server = fresh_berth()
    registry = Registry(server.url)
    large, small = os.urandom(LARGE), os.urandom(SMALL)
    body = registry.push_image("a", "t", small, [large])
    locations = [registry.start("a") for _ in range(10)]
    registry = restarted(server, "meta.commit=sleep3000+")
    stop = threading.Event()
    statuses = []

    def write(k):
        own = Registry(server.url)
        while not stop.is_set():
            data = os.urandom(2000)
            if k % 4 == 0:
                r = own.post("/v2/a/blobs/uploads/")
            elif k % 4 == 1:
                r = own.post(f"/v2/a/blobs/uploads/?digest={digest(data)}", data=data)
            elif k % 4 == 2:
                r = own.put_manifest("a", f"n{k}", image(small, [], annotations={"k": str(k)}))
            else:
                r = own.append(locations[k // 4], data, start=received(own, locations[k // 4]))
            statuses.append(r.status_code)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(40)]
    for t in threads:
        t.start()
    try:
        time.sleep(1)  # all of them wait now
        slowest = 0.0
        end = time.monotonic() + 8
        while time.monotonic() < end:
            for what, read in (
                    ("tag", lambda: registry.manifest("a", "t").content == body),
                    ("manifest", lambda: registry.manifest("a", digest(body)).content == body),
                    ("file", lambda: registry.blob("a", digest(large)).content == large),
                    ("inline", lambda: registry.blob("a", digest(small)).content == small),
                    ("head", lambda: registry.blob("a", digest(large), "HEAD").status_code == 200),
                    ("tags", lambda: registry.tags("a").status_code == 200),
                    ("readyz", lambda: server.debug("/readyz")[0] == 200),
                    ("livez", lambda: server.debug("/livez")[0] == 200)):
                took = quickest(read, 1)
                assert took < 1, f"{what} took {took:.1f} s"
                slowest = max(slowest, took)
        print(f"\nthe slowest read took {slowest * 1000:.0f} ms")
    finally:
        stop.set()
        for t in threads:
            t.join(60)
    assert len(statuses) >= 40
    assert all(s in (201, 202, 503) for s in statuses), set(statuses)
    assert sum(s != 503 for s in statuses) > 10
