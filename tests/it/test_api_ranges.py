# SPDX-License-Identifier: Apache-2.0
"""Ranges of blobs (oci.md 2.4.7, 7.1, 8; reliability.md part 2) against a model, for a blob in the
database and one in a file."""

import os
import random

import pytest
from registry_client import Raw, error_of


@pytest.fixture(params=[2048, 200_000], ids=["inline", "file"])
def blob(request, registry, repo):
    data = os.urandom(request.param)
    return registry.push_blob(repo, data), data


@pytest.mark.parametrize("spec,first,last", [
    ("500-1499", 500, 1499), ("500-", 500, None), ("-500", -500, None), ("2000-{more}", 2000, None),
    ("0-0", 0, 0), ("0-", 0, None), ("{last}-{last}", -1, None), ("-{more}", 0, None)])
def test_satisfiable(registry, repo, blob, spec, first, last):
    dgst, data = blob
    size = len(data)
    spec = spec.format(more=size + 5000, last=size - 1)
    if first < 0:
        first += size
    last = size - 1 if last is None else last
    r = registry.blob(repo, dgst, headers={"Range": f"bytes={spec}"})
    assert r.status_code == 206
    assert r.content == data[first:last + 1]
    assert r.headers["Content-Length"] == str(last + 1 - first)
    assert r.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert r.headers["Docker-Content-Digest"] == dgst


@pytest.mark.parametrize("spec", ["500-0", "{size}-", "{size}-{more}", "5000000-10000000",
                                  f"{2**31}-{2**31 + 1}", f"{2**32}-", f"{2**63 - 1}-", "-0"])
def test_not_satisfiable(registry, repo, blob, spec):
    dgst, data = blob
    spec = spec.format(size=len(data), more=len(data) + 10)
    r = registry.blob(repo, dgst, headers={"Range": f"bytes={spec}"})
    error_of(r, 416, "RANGE_INVALID")
    assert r.headers["Content-Range"] == f"bytes */{len(data)}"


@pytest.mark.parametrize("value", ["bytes", "bytes=", "bytes=-", "bytes=a-b", "items=0-1",
                                   "bytes=0-1,5-6", "bytes=0-1, -1", "bytes=0--1", "bytes=--1",
                                   "bytes 0-1", "bytes=0x0-5", "bytes=+0-5", "0-5"])
def test_ignored(registry, repo, blob, value):
    """Another unit, several ranges and bad syntax are ignored: all of it, 200."""
    dgst, data = blob
    r = registry.blob(repo, dgst, headers={"Range": value})
    assert r.status_code == 200
    assert r.content == data


@pytest.mark.parametrize("number", [2**63, 2**64, 2**64 + 1, 10**40])
def test_numbers_past_63_bits(registry, repo, blob, number):
    dgst, data = blob
    for value in (f"bytes={number}-", f"bytes=0-{number}", f"bytes=-{number}",
                  f"bytes={number}-{number}"):
        r = registry.blob(repo, dgst, headers={"Range": value})
        assert r.status_code in (200, 206, 416)
        if r.status_code != 416:
            assert r.content == data


def test_a_model(registry, repo, blob):
    """500 generated ranges, each compared with the slice of the bytes."""
    dgst, data = blob
    size = len(data)
    rng = random.Random(7)
    for _ in range(500):
        kind = rng.randrange(3)
        a, b = rng.randrange(size + 10), rng.randrange(size + 10)
        value = (f"{a}-{b}", f"{a}-", f"-{b}")[kind]
        if kind == 2:
            want = (max(size - b, 0), size - 1) if b > 0 else None
        else:
            end = size - 1 if kind == 1 else min(b, size - 1)
            want = (a, end) if a < size and (kind == 1 or a <= b) else None
        r = registry.blob(repo, dgst, headers={"Range": f"bytes={value}"})
        if want is None:
            assert r.status_code == 416, value
        else:
            assert r.status_code == 206, value
            assert r.content == data[want[0]:want[1] + 1], value


def test_head_ignores_range(registry, repo, blob):
    dgst, data = blob
    r = registry.blob(repo, dgst, "HEAD", headers={"Range": "bytes=0-9"})
    assert r.status_code == 200
    assert r.headers["Content-Length"] == str(len(data))


def test_empty_blob(registry, repo):
    dgst = registry.push_blob(repo, b"")
    for value in ("bytes=0-", "bytes=0-0", "bytes=-5"):
        r = registry.blob(repo, dgst, headers={"Range": value})
        assert r.status_code in (200, 416)
        if r.status_code == 416:
            assert r.headers["Content-Range"] == "bytes */0"


def test_closing_early_disturbs_nobody(berth, registry, repo):
    """containerd opens several open-ended ranges and closes each before its end."""
    data = os.urandom(4 << 20)
    dgst = registry.push_blob(repo, data)
    for start in range(0, len(data), len(data) // 10):
        with Raw(berth.url) as c:
            c.request("GET", f"/v2/{repo}/blobs/{dgst}", {"Range": f"bytes={start}-"})
            assert c.sock.recv(100).startswith(b"HTTP/1.1 206 ")
    assert registry.blob(repo, dgst).content == data
