# SPDX-License-Identifier: Apache-2.0
"""Manifests that are refused (reliability.md A17, oci.md 3.1): 400 MANIFEST_INVALID with a detail,
and nothing stored."""

import base64
import json

import pytest
from registry_client import (DOCKER_LIST, DOCKER_MANIFEST, EMPTY_BLOB, OCI_CONFIG, OCI_INDEX,
                             OCI_MANIFEST, descriptor, dumps, error_of, image, index)

CONFIG = descriptor(EMPTY_BLOB, OCI_CONFIG)
BASE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": []}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
GOOD = dumps(BASE)


def without(document, *keys):
    return {k: v for k, v in document.items() if k not in keys}


def with_config(**changes):
    return dumps({**BASE, "config": {k: v for k, v in {**CONFIG, **changes}.items()
                                     if v is not None}})


def with_layer(**changes):
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": CONFIG["digest"],
             "size": 2, **changes}
    return dumps({**BASE, "layers": [{k: v for k, v in layer.items() if v is not None}]})


SCHEMA1 = dumps({"schemaVersion": 1, "name": "a", "tag": "t", "architecture": "amd64",
                 "fsLayers": [{"blobSum": CONFIG["digest"]}], "history": []})

CASES = {
    "empty body": (b"", OCI_MANIFEST),
    "no json": (b"hello", OCI_MANIFEST),
    "array": (b"[]", OCI_MANIFEST),
    "null": (b"null", OCI_MANIFEST),
    "number": (b"1", OCI_MANIFEST),
    "truncated": (GOOD[:-1], OCI_MANIFEST),
    "trailing data": (GOOD + b"{}", OCI_MANIFEST),
    "trailing letter": (GOOD + b"x", OCI_MANIFEST),
    "trailing NUL": (GOOD + b"\0", OCI_MANIFEST),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, OCI_MANIFEST),
    "utf-16": (GOOD.decode().encode("utf-16"), OCI_MANIFEST),
    "invalid utf-8": (GOOD[:-1] + b',"x":"\xff"}', OCI_MANIFEST),
    "overlong utf-8": (GOOD[:-1] + b',"x":"\xc0\xaf"}', OCI_MANIFEST),
    "surrogate in utf-8": (GOOD[:-1] + b',"x":"\xed\xa0\x80"}', OCI_MANIFEST),
    "lone surrogate escape": (GOOD[:-1] + b',"x":"\\ud800"}', OCI_MANIFEST),
    "raw NUL in a string": (GOOD[:-1] + b',"x":"\0"}', OCI_MANIFEST),
    "escaped NUL in a name": (GOOD[:-1] + b',"x\\u0000y":1}', OCI_MANIFEST),
    "control byte": (GOOD[:-1] + b',"x":"\x01"}', OCI_MANIFEST),
    "comment": (b"/* */" + GOOD, OCI_MANIFEST),
    "single quotes": (GOOD.replace(b'"', b"'"), OCI_MANIFEST),
    "trailing comma": (GOOD[:-1] + b",}", OCI_MANIFEST),
    "duplicate key": (GOOD[:-1] + b',"schemaVersion":2}', OCI_MANIFEST),
    "duplicate layers": (GOOD[:-1] + b',"layers":[]}', OCI_MANIFEST),
    "duplicate by escape": (GOOD[:-1] + b',"\\u006cayers":[]}', OCI_MANIFEST),
    "duplicate key deep": (GOOD[:-1] + b',"annotations":{"a":"b","a":"c"}}', OCI_MANIFEST),
    "duplicate key in an unknown member": (GOOD[:-1] + b',"x":[{"a":1,"a":2}]}', OCI_MANIFEST),
    "both layers and manifests": (dumps({**BASE, "manifests": []}), OCI_MANIFEST),
    "index with layers": (dumps({**INDEX, "layers": []}), OCI_INDEX),
    "index with config": (dumps({**INDEX, "config": CONFIG}), OCI_INDEX),
    "neither": (dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}), OCI_MANIFEST),
    "image named index": (GOOD, OCI_INDEX),
    "index named image": (dumps(INDEX), OCI_MANIFEST),
    "docker type, oci body": (GOOD, DOCKER_MANIFEST),
    "oci type, docker body": (image(EMPTY_BLOB, [], DOCKER_MANIFEST), OCI_MANIFEST),
    "docker list, oci body": (dumps(INDEX), DOCKER_LIST),
    "unknown content type": (GOOD, "application/x-unheard"),
    "body names an unknown type": (dumps({**BASE, "mediaType": "application/x-y"}),
                                   "application/x-y"),
    "mediaType is a number": (dumps({**BASE, "mediaType": 5}), OCI_MANIFEST),
    "shape against content type": (dumps(without(INDEX, "mediaType")), OCI_MANIFEST),
    "no schemaVersion": (dumps(without(BASE, "schemaVersion")), OCI_MANIFEST),
    "schemaVersion 3": (dumps({**BASE, "schemaVersion": 3}), OCI_MANIFEST),
    "schemaVersion 2.0": (GOOD.replace(b'"schemaVersion":2', b'"schemaVersion":2.0'), OCI_MANIFEST),
    "schemaVersion text": (dumps({**BASE, "schemaVersion": "2"}), OCI_MANIFEST),
    "config missing": (dumps(without(BASE, "config")), OCI_MANIFEST),
    "config is a list": (dumps({**BASE, "config": [CONFIG]}), OCI_MANIFEST),
    "config is null": (dumps({**BASE, "config": None}), OCI_MANIFEST),
    "layers is an object": (dumps({**BASE, "layers": {}}), OCI_MANIFEST),
    "layer is text": (dumps({**BASE, "layers": ["x"]}), OCI_MANIFEST),
    "size float": (with_config(size=2.0), OCI_MANIFEST),
    "size exponent": (GOOD.replace(b'"size":2', b'"size":2e0'), OCI_MANIFEST),
    "size negative": (with_config(size=-1), OCI_MANIFEST),
    "size text": (with_config(size="2"), OCI_MANIFEST),
    "size missing": (with_config(size=None), OCI_MANIFEST),
    "size above 2^53": (with_layer(size=2**53 + 1), OCI_MANIFEST),
    "size 2^63": (with_layer(size=2**63), OCI_MANIFEST),
    "size 2^64": (with_layer(size=2**64), OCI_MANIFEST),
    "size 10^40": (with_layer(size=10**40), OCI_MANIFEST),
    "size true": (with_config(size=True), OCI_MANIFEST),
    "digest missing": (with_config(digest=None), OCI_MANIFEST),
    "digest short": (with_config(digest="sha256:abc"), OCI_MANIFEST),
    "digest upper case": (with_config(digest="sha256:" + "A" * 64), OCI_MANIFEST),
    "digest traversal": (with_config(digest="sha256:../../../etc/passwd"), OCI_MANIFEST),
    "digest with NUL": (with_config(digest="sha256:" + "0" * 63 + "\0"), OCI_MANIFEST),
    "digest number": (with_config(digest=1), OCI_MANIFEST),
    "mediaType missing": (with_config(mediaType=None), OCI_MANIFEST),
    "mediaType malformed": (with_layer(mediaType="no slash"), OCI_MANIFEST),
    "data not base64": (with_config(data="***"), OCI_MANIFEST),
    "data of another digest": (with_config(data=base64.b64encode(b"[]").decode()), OCI_MANIFEST),
    "data of another size": (with_config(data=base64.b64encode(b"{} ").decode()), OCI_MANIFEST),
    "annotations a list": (dumps({**BASE, "annotations": []}), OCI_MANIFEST),
    "annotation a number": (dumps({**BASE, "annotations": {"a": 1}}), OCI_MANIFEST),
    "subject text": (dumps({**BASE, "subject": "sha256:x"}), OCI_MANIFEST),
    "subject without digest": (dumps({**BASE, "subject": {"mediaType": OCI_MANIFEST, "size": 1}}),
                               OCI_MANIFEST),
    "artifactType number": (dumps({**BASE, "artifactType": 1}), OCI_MANIFEST),
    "schema 1": (SCHEMA1, "application/vnd.docker.distribution.manifest.v1+json"),
    "schema 1 signed": (SCHEMA1, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    "schema 1 by shape": (SCHEMA1, "application/json"),
    "deep nesting": (GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", OCI_MANIFEST),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(registry, repo, name):
    body, media_type = CASES[name]
    registry.push_blob(repo, EMPTY_BLOB)
    r = registry.put_manifest(repo, "t", body, media_type)
    entry = error_of(r, 400, "MANIFEST_INVALID")
    assert len(json.dumps(entry["detail"])) > 12
    assert registry.manifest(repo, "t").status_code == 404


def test_schema1_says_what_to_do(registry, repo):
    for media_type in ("application/vnd.docker.distribution.manifest.v1+json",
                       "application/vnd.docker.distribution.manifest.v1+prettyjws"):
        entry = error_of(registry.put_manifest(repo, "t", SCHEMA1, media_type), 400,
                         "MANIFEST_INVALID")
        assert "schema" in json.dumps(entry["detail"]).lower()


def test_the_good_ones_beside_them_are_taken(registry, repo):
    registry.push_blob(repo, EMPTY_BLOB)
    for body, media_type in ((GOOD, OCI_MANIFEST), (dumps(INDEX), OCI_INDEX),
                             (image(EMPTY_BLOB, [], DOCKER_MANIFEST), DOCKER_MANIFEST),
                             (index([], DOCKER_LIST), DOCKER_LIST),
                             (GOOD + b" \n", OCI_MANIFEST),
                             (with_layer(size=2), OCI_MANIFEST),
                             # Go writes null for an empty list.
                             (dumps({**INDEX, "manifests": None}), OCI_INDEX),
                             (dumps({**BASE, "layers": None}), OCI_MANIFEST),
                             (dumps({**BASE, "annotations": {}, "x": {"a": 1.5}}), OCI_MANIFEST)):
        assert registry.put_manifest(repo, "t", body, media_type).status_code == 201, body[:200]


def test_more_references_than_any_image_has(registry, repo):
    """20,000 descriptors are the limit; the answer comes soon, and others are served meanwhile."""
    entry = {"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1}
    body = dumps({**INDEX, "manifests": [entry] * 20_001})
    assert len(body) < 4 * 1024 * 1024
    error_of(registry.put_manifest(repo, "t", body, OCI_INDEX), 400, "MANIFEST_INVALID")
