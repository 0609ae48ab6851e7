# SPDX-License-Identifier: Apache-2.0
"""Registry's `validation` and `policy` sections."""

import json
import subprocess

import pytest
from harness import binary
from registry_client import (DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_EMPTY, OCI_INDEX,
                             OCI_LAYER, OCI_MANIFEST, Registry, descriptor, digest, dumps,
                             error_of, image, index)

REPO = "v/app"
FAR = b"a layer that is elsewhere"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


def configured(fresh_berth, tmp_path, kind="test", **sections):
    path = tmp_path / "config.yml"
    path.write_text(json.dumps({"version": 0.1, **sections}))
    registry = Registry(fresh_berth(config=path, kind=kind).url)
    registry.push_blob(REPO, b"{}")
    return registry


def put(registry, body, media_type=OCI_MANIFEST, tag="t"):
    return registry.put(f"/v2/{REPO}/manifests/{tag}", data=body,
                        headers={"Content-Type": media_type})


def with_url(url, media_type=OCI_MANIFEST, layer_type=OCI_LAYER, layer=FAR):
    document = json.loads(image(media_type=media_type))
    document["layers"] = [descriptor(layer, layer_type, urls=[url])]
    return dumps(document)


def test_without_a_section(berth, repo):
    """What berth has always taken, and the OCI conformance suite pushes."""
    registry = Registry(berth.url)
    registry.push_blob(repo, b"{}")
    for url in ("https://example.com/x", "s3://bucket/x"):
        r = registry.put(f"/v2/{repo}/manifests/t", data=with_url(url),
                         headers={"Content-Type": OCI_MANIFEST})
        assert r.status_code == 201, r.text


@pytest.mark.parametrize("media_type, layer_type", [
    (OCI_MANIFEST, OCI_LAYER), (DOCKER_MANIFEST, FOREIGN),
    (OCI_MANIFEST, "application/vnd.oci.image.layer.v1.tar+zstd")])
def test_urls(fresh_berth, tmp_path, media_type, layer_type):
    registry = configured(fresh_berth, tmp_path, validation={"manifests": {"urls": {
        "allow": [r"^https://([a-z]+\.)?good\.example/", "(?i)^http://MIRROR/"],
        "deny": [r"\bsecret\b"]}}})
    for url in ("https://good.example/x", "https://a.good.example/secrets", "http://mirror/x"):
        r = put(registry, with_url(url, media_type, layer_type), media_type)
        assert r.status_code == 201, (url, r.text)
    for url, why in (("https://evil.example/x", "urls.allow"),
                     ("https://good.example/secret", "urls.deny"),
                     ("https://good.example/x#f", "fragment"),
                     ("https://good.example.evil/", "urls.allow"),
                     ("ftp://good.example/", "not an http or https URL"), ("", "not an http")):
        r = put(registry, with_url(url, media_type, layer_type), media_type, tag="refused")
        entry = error_of(r, 400, "MANIFEST_INVALID")
        assert why in entry["detail"] and "layers[0]" in entry["detail"], entry
    assert registry.get(f"/v2/{REPO}/manifests/refused").status_code == 404
    # A layer that is here needs no URL.
    registry.push_image(REPO, "plain")


@pytest.mark.parametrize("validation, allowed", [
    ({"disabled": True}, True),
    ({"disabled": True, "manifests": {"urls": {"allow": ["^nothing$"]}}}, True),
    ({"enabled": True, "disabled": True, "manifests": {"urls": {"allow": ["^nothing$"]}}}, False),
    ({"manifests": {"urls": {"deny": ["other"]}}}, True),
    ({"manifests": {"urls": {"allow": ["other"]}}}, False),
    ({"disabled": False}, False),
    ({"enabled": True}, False),
    ({"enabled": True, "disabled": True}, False),
    ({"enabled": False, "disabled": True}, True),
    ({"manifests": {}}, True),
])
def test_which_lists(fresh_berth, tmp_path, validation, allowed):
    registry = configured(fresh_berth, tmp_path, validation=validation)
    r = put(registry, with_url("https://example.com/x"))
    assert r.status_code == (201 if allowed else 400), r.text


def test_many_urls_take_no_time(fresh_berth, tmp_path):
    """A manifest full of long URLs against expressions that make others backtrack. On the optimised
    build: the sanitizers' own work on 9.6 MB of matching says nothing of ours."""
    registry = configured(fresh_berth, tmp_path, kind="release", validation={"manifests": {"urls": {
        "allow": ["^https://x/(a+a+)+b$", "(a|b)*a(a|b){12}c", "^https://x/a*$"]}}})
    document = json.loads(image())
    document["layers"] = [descriptor(FAR, OCI_LAYER, urls=["https://x/" + "a" * 4000] * 200)] * 4
    r = registry.put(f"/v2/{REPO}/manifests/t", data=dumps(document), timeout=60,
                     headers={"Content-Type": OCI_MANIFEST})
    assert r.status_code == 201, r.text


def test_classes(fresh_berth, tmp_path):
    registry = configured(fresh_berth, tmp_path, policy={"repository": {"classes": ["image"]}})
    for media_type, config_type, allowed in (
            (OCI_MANIFEST, OCI_CONFIG, True), (DOCKER_MANIFEST, DOCKER_CONFIG, True),
            (DOCKER_MANIFEST, "application/vnd.docker.plugin.v1+json", False),
            (OCI_MANIFEST, OCI_EMPTY, False)):
        body = image(media_type=media_type, config_type=config_type)
        r = put(registry, body, media_type, tag="x" if allowed else "refused")
        if allowed:
            assert r.status_code == 201, r.text
            continue
        entry = error_of(r, 403, "DENIED")
        assert "policy.repository.classes" in entry["detail"]
    child = image()
    assert put(registry, child).status_code == 201
    assert put(registry, index([child]), OCI_INDEX, tag="index").status_code == 201


def platform(data, os=None, architecture=None):
    more = {"platform": {"os": os, "architecture": architecture}} if os else {}
    return descriptor(data, OCI_MANIFEST, **more)


@pytest.mark.parametrize("indexes, takes", [
    ({}, set()),
    ({"platforms": "all"}, set()),
    ({"platforms": "none"}, {"linux", "windows", "nowhere"}),
    ({"platforms": "list", "platformlist": [{"os": "Linux", "architecture": "AMD64"}]},
     {"windows", "nowhere"}),
])
def test_platforms(fresh_berth, tmp_path, indexes, takes):
    """Which children of an index have to be there."""
    registry = configured(fresh_berth, tmp_path, validation={"manifests": {"indexes": indexes}})
    there = image()
    assert put(registry, there).status_code == 201
    absent = {"linux": platform(b"absent", "linux", "amd64"),
              "windows": platform(b"absent", "windows", "amd64"), "nowhere": platform(b"absent")}
    for name, child in absent.items():
        body = index([platform(there, "linux", "amd64"), child])
        r = put(registry, body, OCI_INDEX, tag=name)
        if name in takes:
            assert r.status_code == 201, (name, r.text)
            got = registry.get(f"/v2/{REPO}/manifests/{digest(body)}")
            assert got.content == body
        else:
            assert r.status_code == 400 and "MANIFEST_BLOB_UNKNOWN" in r.text, (name, r.text)


@pytest.mark.parametrize("key", ["allow", "deny"])
def test_an_expression_that_is_none(tmp_path, key):
    path = tmp_path / "config.yml"
    path.write_text(json.dumps({
        "version": 0.1, "http": {"addr": "127.0.0.1:0"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}},
        "validation": {"manifests": {"urls": {key: ["^fine$", "a(b"]}}}}))
    r = subprocess.run([binary(), "serve", str(path)], capture_output=True, text=True, timeout=60)
    assert r.returncode != 0
    assert "a(b" in r.stderr and "is not closed" in r.stderr, r.stderr
