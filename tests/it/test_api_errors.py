# SPDX-License-Identifier: Apache-2.0
"""The table of error codes (oci.md 1.10): each that this server can give is given, in the OCI form
and with a detail. error_of() checks the form."""

import pytest
from registry_client import (OCI_MANIFEST, Registry, digest, error_of, image)


def provoke(code, registry, repo):
    """(response, status) of a request that has to be answered with the code."""
    zero = "sha256:" + "0" * 64
    if code == "BLOB_UNKNOWN":
        return registry.blob(repo, zero), 404
    if code == "BLOB_UPLOAD_UNKNOWN":
        return registry.get(f"/v2/{repo}/blobs/uploads/12345678-1234-4123-8123-123456789abc"), 404
    if code == "DIGEST_INVALID":
        return registry.finish(registry.start(repo), zero, b"x"), 400
    if code == "MANIFEST_BLOB_UNKNOWN":
        return registry.put_manifest(repo, "t", image(b"never", [])), 400
    if code == "MANIFEST_INVALID":
        return registry.put_manifest(repo, "t", b"{}"), 400
    if code == "MANIFEST_UNKNOWN":
        return registry.manifest(repo, "nope"), 404
    if code == "NAME_INVALID":
        return registry.get("/v2/UPPER/tags/list"), 400
    if code == "NAME_UNKNOWN":
        return registry.tags("never/heard"), 404
    if code == "SIZE_INVALID":
        big = b'{"x":"' + b"y" * (4 * 1024 * 1024) + b'"}'
        r = None
        try:
            r = registry.put_manifest(repo, "t", big)
        except OSError:
            pytest.skip("the answer came before the body was sent, which this client cannot read")
        return r, 413
    if code == "UNSUPPORTED":
        return registry.patch(f"/v2/{repo}/tags/list"), 405
    if code == "RANGE_INVALID":
        return registry.append(registry.start(repo), b"x", start=7), 416
    if code == "TAG_INVALID":
        return registry.put_manifest(repo, "-bad", image()), 400
    if code == "PAGINATION_NUMBER_INVALID":
        return registry.tags(repo, n="x"), 400
    raise AssertionError(code)


CODES = ["BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
         "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "UNSUPPORTED",
         "RANGE_INVALID", "TAG_INVALID", "PAGINATION_NUMBER_INVALID"]


@pytest.mark.parametrize("code", CODES)
def test_code(registry, repo, code):
    registry.push_image(repo, "here")
    r, status = provoke(code, registry, repo)
    error_of(r, status, code)


def test_size_is_an_error_of_its_own(registry, repo):
    registry.push_image(repo, "here")
    r, status = provoke("SIZE_INVALID", registry, repo)
    assert r.status_code == status
    assert r.json()["errors"][0]["detail"]


def test_deletes_switched_off(fresh_berth):
    """UNSUPPORTED for tag, manifest and blob alike, and nothing is gone."""
    server = fresh_berth(options={"storage.delete.enabled": "false"})
    registry = Registry(server.url)
    body = registry.push_image("a/b", "t")
    for path in ("manifests/t", f"manifests/{digest(body)}", f"blobs/{digest(b'layer')}"):
        error_of(registry.delete(f"/v2/a/b/{path}"), 405, "UNSUPPORTED")
        assert registry.head(f"/v2/a/b/{path}").status_code == 200
    # Cancelling an upload is no delete of content.
    assert registry.delete(registry.start("a/b")).status_code == 204


NAMES_BAD = ["A", "aB", "a..b", "a//b", "-a", "a-", "a/-b", "_a", "a_", "a___b", "a._b", ".a", "a.",
             "a b", "a/", "ä", "a:b", "a@b", "a*b", "a/b/", "a" * 256, "a/" * 200 + "a"]


@pytest.mark.parametrize("name", NAMES_BAD)
def test_names_outside_the_grammar(registry, name):
    for r in (registry.get(f"/v2/{name}/tags/list"),
              registry.post(f"/v2/{name}/blobs/uploads/"),
              registry.manifest(name, "t"),
              registry.put_manifest(name, "t", image())):
        assert r.status_code in (400, 404), (name, r.status_code)
        error_of(r, r.status_code, r.json()["errors"][0]["code"])


@pytest.mark.parametrize("name", ["a", "a/b", "a/b/c/d/e/f", "a.b", "a_b", "a__b", "a-b", "a--b",
                                  "a---b", "0", "tags/list", "blobs/uploads", "manifests", "v2",
                                  "a/manifests/b", "a/blobs/uploads", "a" * 255])
def test_names_inside_the_grammar(registry, name):
    body = registry.push_image(name, "t")
    assert registry.manifest(name, "t").content == body
    assert registry.tags(name).json()["name"] == name
    assert registry.blob(name, digest(b"layer")).content == b"layer"


@pytest.mark.parametrize("tag", ["-a", ".a", "a" * 129, "a+b", "a b", "ä", "a@b", "a%20b", "a*"])
def test_tags_outside_the_grammar(registry, repo, tag):
    registry.push_image(repo, "here")
    r = registry.put_manifest(repo, tag, image(b"{}", [b"layer"]))
    assert r.status_code in (400, 404)
    error_of(r, r.status_code, r.json()["errors"][0]["code"])
    assert registry.tags(repo).json()["tags"] == ["here"]


@pytest.mark.parametrize("tag", ["a", "A", "_", "_a", "a.b-c_d", "1", "a" * 128, "latest", "V1.0"])
def test_tags_inside_the_grammar(registry, repo, tag):
    body = registry.push_image(repo, tag)
    r = registry.manifest(repo, tag)
    assert r.content == body
    assert r.headers["Content-Type"] == OCI_MANIFEST
