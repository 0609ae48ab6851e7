# SPDX-License-Identifier: Apache-2.0
"""Paths with dot segments, encoded slashes and NUL, on every route: 400 or 404, never resolved to
something else, never a 5xx (reliability.md, path normalisation and A16)."""

import itertools
import json

import pytest
from registry_client import Raw, digest, raw

BLOB = "sha256:" + "0" * 64
ROUTES = ["/v2/{0}/tags/list", "/v2/{0}/manifests/t", "/v2/{0}/blobs/" + BLOB,
          "/v2/{0}/blobs/uploads/", "/v2/{0}/referrers/" + BLOB, "/v2/a/manifests/{0}",
          "/v2/a/blobs/{0}", "/v2/a/blobs/uploads/{0}", "/v2/a/referrers/{0}", "/v2/{0}", "/{0}"]
HOSTILE = ["..", ".", "a/../b", "a/./b", "%2e%2e", "%2E", "a%2fb", "a%2Fb", "..%2f..%2fetc",
           "%00", "a%00b", "a\0b", "//", "a//b", "a\\b", "..\\..", "%5c..", "a%0d%0aX:y", "a;b",
           "%", "%zz", "%u002e", "a%252fb", "\x7f", "\x80", "a\xffb", "*", "..;/x", "~root"]


@pytest.mark.parametrize("route", ROUTES)
def test_hostile_paths(berth, route):
    for piece in HOSTILE:
        for method in ("GET", "PUT", "DELETE", "POST"):
            answer = raw(berth.url, method, route.format(piece), {"Content-Length": "0"})
            if answer is None:
                continue  # closed without a word is an answer to garbage
            assert answer[0] in (400, 404, 405, 414), (method, route.format(piece), answer[0])


def test_nothing_is_resolved(berth, registry, repo):
    """The same thing by another spelling of its path is not found."""
    body = registry.push_image(repo, "t")
    dgst = digest(body)
    for target in (f"/v2/{repo}/manifests/../manifests/t", f"/v2/./{repo}/manifests/t",
                   f"/v2//{repo}/manifests/t", f"/v2/{repo}/manifests//t",
                   f"/v2/{repo.replace('/', '%2f')}/manifests/t", f"/v2/{repo}/manifests/%74",
                   f"/V2/{repo}/manifests/t", f"/v2/{repo}%3a/manifests/t",
                   f"/v2/{repo}/manifests/{dgst.replace(':', '%253a')}",
                   f"/v2/{repo}/manifests/{dgst.replace(':', '%3a')}/",
                   f"/v2/{repo}/manifests/{dgst.replace('a', '%61').replace('b', '%62')}",
                   f"/v2/{repo}/manifests/t%00", f"/v2/{repo}/manifests/t%20"):
        answer = raw(berth.url, "GET", target)
        assert answer is not None and answer[0] in (400, 404), target
    assert raw(berth.url, "GET", f"/v2/{repo}/manifests/t")[2] == body
    assert raw(berth.url, "GET", f"http://other.example/v2/{repo}/manifests/t")[0] in (200, 400)


@pytest.mark.parametrize("colon", ["%3A", "%3a"])
def test_a_digest_may_have_its_colon_encoded(berth, registry, repo, colon):
    """Clients that percent-encode send it so. The one escape that is decoded, and only there."""
    body = registry.push_image(repo, "t")
    dgst = digest(body).replace(":", colon)
    blob = json.loads(body)["layers"][0]["digest"]
    for method, path in (("GET", f"manifests/{dgst}"), ("HEAD", f"manifests/{dgst}"),
                         ("GET", f"blobs/{blob.replace(':', colon)}"), ("GET", f"referrers/{dgst}")):
        answer = raw(berth.url, method, f"/v2/{repo}/{path}")
        assert answer is not None and answer[0] == 200, (method, path)
    assert raw(berth.url, "GET", f"/v2/{repo}/manifests/{dgst}")[2] == body
    assert raw(berth.url, "GET", f"/v2/{repo}/manifests/t{colon}x")[0] in (400, 404)
    assert raw(berth.url, "DELETE", f"/v2/{repo}/manifests/{dgst}")[0] == 202
    assert raw(berth.url, "GET", f"/v2/{repo}/manifests/{digest(body)}")[0] == 404


def test_a_path_outside_the_store_is_never_touched(berth, tmp_path):
    outside = tmp_path / "outside"
    for spelled in ("../" * 12 + str(outside)[1:], ("..%2f" * 12) + str(outside)[1:]):
        raw(berth.url, "PUT", f"/v2/{spelled}/manifests/t", {"Content-Length": "1"}, b"x")
        raw(berth.url, "POST", f"/v2/{spelled}/blobs/uploads/", {"Content-Length": "0"})
    assert not outside.exists()


def test_long_targets(berth):
    assert raw(berth.url, "GET", "/v2/" + "a" * 8000 + "/tags/list")[0] in (400, 404, 414)
    assert raw(berth.url, "GET", "/v2/" + "a" * 9000 + "/tags/list")[0] == 414


def test_all_short_names(berth):
    """Every string of up to 3 significant bytes as a name, pipelined, against the grammar: names
    that it allows give 404 NAME_UNKNOWN, all others something else, and nothing a 5xx. (The unit
    test of the grammar goes to length 4.)"""
    import re
    grammar = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\Z")
    letters = "az09AZ._-/%@:~+"
    names = ["".join(t) for n in (1, 2, 3) for t in itertools.product(letters, repeat=n)]
    step = 50
    connection = Raw(berth.url)
    for at in range(0, len(names), step):
        part = [n for n in names[at:at + step]]
        for name in part:
            connection.request("GET", f"/v2/nobody/{name}/tags/list")
        for name in part:
            answer = connection.response()
            assert answer is not None, name
            status, headers, body = answer
            assert status in (400, 404), (name, status)
            assert (b"NAME_UNKNOWN" in body) == bool(grammar.match(name)), (name, body)
            if headers.get("Connection") == "close":
                raise AssertionError(f"closed after {name!r}")
    connection.close()


def test_every_byte_in_a_reference(berth):
    for byte in range(256):
        target = f"/v2/a/manifests/x{chr(byte)}y"
        answer = raw(berth.url, "GET", target)
        assert answer is None or answer[0] in (400, 404), byte
