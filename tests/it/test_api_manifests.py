# SPDX-License-Identifier: Apache-2.0
"""Manifests and indexes (oci.md 1.4, 1.6, 2.3, 2.4): each data set of the conformance list is
pushed, listed, pulled by HEAD and GET, and deleted, in both framings."""

import base64
import json
import os

import pytest
from registry_client import (DOCKER_LIST, DOCKER_MANIFEST, EMPTY_BLOB, OCI_CONFIG, OCI_EMPTY,
                             OCI_INDEX, OCI_MANIFEST, chunked, descriptor, digest, dumps,
                             error_of, image, index)

ALGS = ["sha256", "sha512"]


@pytest.fixture(params=ALGS)
def alg(request):
    return request.param


def check_pull(registry, repo, ref, body, media_type, alg):
    dgst = digest(body, alg)
    for method in ("GET", "HEAD"):
        # Accept is several lines or one list or absent: the stored type is what comes.
        for accept in ({}, {"Accept": f"{OCI_MANIFEST}, {OCI_INDEX}, */*"}, {"Accept": "text/html"}):
            r = registry.manifest(repo, ref, method, headers=accept)
            assert r.status_code == 200, (ref, r.text)
            assert r.headers["Content-Type"] == media_type
            assert r.headers["Content-Length"] == str(len(body))
            assert r.headers["Docker-Content-Digest"] == dgst
            assert r.headers["ETag"] == f'"{dgst}"'
            assert r.content == (body if method == "GET" else b"")


def put_all_ways(registry, repo, body, media_type, alg, subject=None):
    """Pushed by digest and by tag (sha512 only by digest, with ?tag=), with a length and chunked."""
    dgst = digest(body, alg)
    tags = ["a", "b-1.2_3"]
    for k, tag in enumerate(tags):
        data = chunked(body) if k else body
        if alg == "sha256":
            r = registry.put_manifest(repo, tag, data, media_type)
        else:
            r = registry.put_manifest(repo, dgst, data, media_type, query=f"?tag={tag}")
            assert r.headers["OCI-Tag"] == tag
        assert r.status_code == 201, r.text
        assert r.headers["Docker-Content-Digest"] == dgst
        assert r.headers["Content-Length"] == "0"
        assert r.headers.get("OCI-Subject") == subject
        assert registry.get(r.headers["Location"]).content == body
    r = registry.put_manifest(repo, dgst, body, media_type)
    assert r.status_code == 201
    assert r.headers["Docker-Content-Digest"] == dgst
    assert r.headers.get("OCI-Subject") == subject
    assert registry.tags(repo).json() == {"name": repo, "tags": tags}
    for ref in (*tags, dgst):
        check_pull(registry, repo, ref, body, media_type, alg)
    return dgst, tags


def delete_all(registry, repo, dgst, tags):
    assert registry.manifest(repo, tags[0], "DELETE").status_code == 202
    assert registry.manifest(repo, tags[0], "HEAD").status_code == 404
    assert registry.manifest(repo, tags[1], "HEAD").status_code == 200
    assert registry.manifest(repo, dgst, "DELETE").status_code == 202
    for ref in (dgst, tags[1]):
        error_of(registry.manifest(repo, ref), 404, "MANIFEST_UNKNOWN")
        assert registry.manifest(repo, ref, "HEAD").status_code == 404
    r = registry.tags(repo)
    assert r.status_code == 404 or r.json()["tags"] == []


def blobs(registry, repo, alg, *datas):
    for data in datas:
        registry.push_blob(repo, data, alg)


def build(name, registry, repo, alg):
    """(body, media type, subject digest or None) of a data set, its content pushed."""
    config = dumps({"architecture": "amd64", "os": "linux", "n": name,
                    "rootfs": {"type": "layers", "diff_ids": [digest(b"")]}})
    layers = [os.urandom(500), os.urandom(70_000)]
    blobs(registry, repo, alg, config, *layers, EMPTY_BLOB)
    if name == "image":
        return image(config, layers, alg=alg), OCI_MANIFEST, None
    if name == "image-uncompressed":
        return image(config, layers, alg=alg,
                     layer_type="application/vnd.oci.image.layer.v1.tar"), OCI_MANIFEST, None
    if name == "docker-image":
        return image(config, layers, DOCKER_MANIFEST, alg=alg), DOCKER_MANIFEST, None
    if name == "large-manifest":
        return image(config, layers, alg=alg,
                     annotations={"x": "y" * 3_900_000}), OCI_MANIFEST, None
    if name in ("index", "nested-index", "docker-list"):
        children = []
        docker = name == "docker-list"
        for arch in ("amd64", "arm64"):
            child = image(config, layers, DOCKER_MANIFEST if docker else OCI_MANIFEST, alg=alg,
                          annotations={"arch": arch})
            registry.push_manifest(repo, digest(child, alg), child,
                                   DOCKER_MANIFEST if docker else OCI_MANIFEST, alg)
            children.append(descriptor(child, DOCKER_MANIFEST if docker else OCI_MANIFEST, alg,
                                       platform={"os": "linux", "architecture": arch}))
        body = index(children, DOCKER_LIST if docker else OCI_INDEX)
        if name == "nested-index":
            registry.push_manifest(repo, digest(body, alg), body, OCI_INDEX, alg)
            body = index([descriptor(body, OCI_INDEX, alg)])
        return body, DOCKER_LIST if docker else OCI_INDEX, None
    if name == "empty-index":
        return index([]), OCI_INDEX, None
    if name == "artifact":
        return image(EMPTY_BLOB, layers, config_type=OCI_EMPTY, alg=alg,
                     artifactType="application/vnd.example.thing"), OCI_MANIFEST, None
    if name == "artifact-index":
        child = image(EMPTY_BLOB, layers, config_type=OCI_EMPTY, alg=alg,
                      artifactType="application/vnd.example.thing")
        registry.push_manifest(repo, digest(child, alg), child, alg=alg)
        return index([child], alg=alg, artifactType="application/vnd.example.set"), OCI_INDEX, None
    if name == "artifact-without-layers":
        return image(EMPTY_BLOB, [EMPTY_BLOB], config_type=OCI_EMPTY, layer_type=OCI_EMPTY, alg=alg,
                     artifactType="application/vnd.example.none"), OCI_MANIFEST, None
    if name in ("missing-subject", "index-with-subject"):
        subject = descriptor(b"never pushed" + os.urandom(8), OCI_MANIFEST, alg)
        if name == "missing-subject":
            return (image(EMPTY_BLOB, layers, config_type=OCI_EMPTY, alg=alg, subject=subject,
                          artifactType="application/vnd.example.sig"), OCI_MANIFEST,
                    subject["digest"])
        return index([], subject=subject, artifactType="application/vnd.x"), OCI_INDEX, \
            subject["digest"]
    if name == "data-field":
        body = json.loads(image(EMPTY_BLOB, [b"hello"], config_type=OCI_EMPTY, alg=alg,
                                artifactType="application/vnd.x"))
        blobs(registry, repo, alg, b"hello")
        body["config"]["data"] = base64.b64encode(EMPTY_BLOB).decode()
        body["layers"][0]["data"] = base64.b64encode(b"hello").decode()
        return dumps(body), OCI_MANIFEST, None
    if name == "non-distributable-layers":
        body = json.loads(image(config, layers, alg=alg))
        for media_type in ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                           "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"):
            body["layers"].append(descriptor(os.urandom(9), media_type, alg,
                                             urls=["https://example.com/layer"]))
        return dumps(body), OCI_MANIFEST, None
    if name == "custom-fields":
        return image(config, layers, alg=alg, custom={"a": [1, "two", None, True]},
                     **{"org.example": "x"}), OCI_MANIFEST, None
    if name == "no-layers":
        return image(config, [], alg=alg), OCI_MANIFEST, None
    raise AssertionError(name)


SETS = ["image", "image-uncompressed", "docker-image", "large-manifest", "index", "nested-index",
        "docker-list", "empty-index", "artifact", "artifact-index", "artifact-without-layers",
        "missing-subject", "index-with-subject", "data-field", "non-distributable-layers",
        "custom-fields", "no-layers"]


@pytest.mark.parametrize("name", SETS)
def test_data_set(registry, repo, alg, name):
    body, media_type, subject = build(name, registry, repo, alg)
    dgst, tags = put_all_ways(registry, repo, body, media_type, alg, subject)
    if subject:
        entries = registry.referrers(repo, subject).json()["manifests"]
        assert [e["digest"] for e in entries] == [dgst]
    delete_all(registry, repo, dgst, tags)


def test_bytes_are_served_as_they_came(registry, repo):
    """White space, order and escapes are not touched."""
    registry.push_blob(repo, b"{}")
    body = (b'{ "layers" : [ ],\n\t"schemaVersion":2 , "config": {"size":2,"digest":"'
            + digest(b"{}").encode() + b'", "mediaType":"' + OCI_CONFIG.encode()
            + b'"}, "mediaType": "' + OCI_MANIFEST.encode() + b'", "x":"\\u00e9\\/"}\n\n')
    registry.push_manifest(repo, "t", body)
    assert registry.manifest(repo, "t").content == body


@pytest.mark.parametrize("ref", ["nope", digest(b"nope"), digest(b"nope", "sha512")])
def test_missing_manifest(registry, repo, ref):
    error_of(registry.manifest(repo, ref), 404, "MANIFEST_UNKNOWN")
    assert registry.manifest(repo, ref, "HEAD").status_code == 404
    registry.push_image(repo, "other")
    error_of(registry.manifest(repo, ref), 404, "MANIFEST_UNKNOWN")
    assert registry.manifest(repo, ref, "HEAD").status_code == 404
    error_of(registry.manifest(repo, ref, "DELETE"), 404, "MANIFEST_UNKNOWN")


def test_digest_mismatch(registry, repo, alg):
    registry.push_blob(repo, b"{}", alg)
    body = image(b"{}", [], alg=alg)
    error_of(registry.put_manifest(repo, digest(b"other", alg), body), 400, "DIGEST_INVALID")
    assert registry.manifest(repo, digest(b"other", alg)).status_code == 404
    assert registry.manifest(repo, digest(body, alg)).status_code == 404


def test_invalid_digest_format(registry, repo):
    registry.push_blob(repo, b"{}")
    error_of(registry.put_manifest(repo, "sha256:baddigeststring", image()), 400, "DIGEST_INVALID")
    assert registry.manifest(repo, "sha256:baddigeststring").status_code in (400, 404)
    error_of(registry.put_manifest(repo, "md5:" + "0" * 32, image()), 400, "DIGEST_INVALID")


def test_missing_content_is_named(registry, repo):
    """MANIFEST_BLOB_UNKNOWN says which, each of them, and nothing is stored."""
    config, layers = b'{"a":1}', [os.urandom(50) for _ in range(3)]
    registry.push_blob(repo, layers[1])
    body = image(config, layers)
    r = registry.put_manifest(repo, "t", body)
    error_of(r, 400, "MANIFEST_BLOB_UNKNOWN")
    for data in (config, layers[0], layers[2]):
        assert digest(data) in r.text
    assert digest(layers[1]) not in r.text
    assert len(r.json()["errors"]) == 3
    assert registry.manifest(repo, "t").status_code == 404
    # A blob of another repository is not content of this one.
    other = repo + "-other"
    for data in (config, *layers):
        registry.push_blob(other, data)
    error_of(registry.put_manifest(repo, "t", body), 400, "MANIFEST_BLOB_UNKNOWN")
    assert registry.put_manifest(other, "t", body).status_code == 201


def test_missing_child_is_named(registry, repo):
    child = image()
    r = registry.put_manifest(repo, "t", index([child]), OCI_INDEX)
    error_of(r, 400, "MANIFEST_BLOB_UNKNOWN")
    assert digest(child) in r.text


def test_repeated_push(registry, repo):
    body = registry.push_image(repo, "t")
    for _ in range(3):
        registry.push_manifest(repo, "t", body)
    assert registry.tags(repo).json()["tags"] == ["t"]


def test_tag_moves(registry, repo):
    first = registry.push_image(repo, "t", b'{"a":1}')
    second = registry.push_image(repo, "t", b'{"a":2}')
    assert registry.manifest(repo, "t").content == second
    assert registry.manifest(repo, digest(first)).content == first


def test_tag_parameters(registry, repo, alg):
    """end-7b: at least ten tags, all listed in OCI-Tag, and the digest stays the pushed one."""
    registry.push_blob(repo, b"{}", alg)
    body = image(b"{}", [], alg=alg)
    tags = [f"tag-{k}" for k in range(12)]
    query = "?" + "&".join(f"tag={t}" for t in tags)
    r = registry.put_manifest(repo, digest(body, alg), chunked(body), query=query)
    assert r.status_code == 201
    assert sorted(t.strip() for t in r.headers["OCI-Tag"].split(",")) == sorted(tags)
    assert sorted(registry.tags(repo).json()["tags"]) == sorted(tags)
    for tag in tags:
        check_pull(registry, repo, tag, body, OCI_MANIFEST, alg)


@pytest.mark.parametrize("query", ["?tag=", "?tag=a%2Fb", "?tag=.x", "?tag=" + "a" * 129,
                                   "?tag=ok&tag=not%20ok", "?tag=%00", "?tag=%zz", "?tag=sha256:x"])
def test_bad_tag_parameters(registry, repo, query):
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    error_of(registry.put_manifest(repo, digest(body), body, query=query), 400, "TAG_INVALID")
    assert registry.manifest(repo, digest(body)).status_code == 404


def test_too_many_tag_parameters(registry, repo):
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    query = "?" + "&".join(f"tag=t{k}" for k in range(500))
    r = registry.put_manifest(repo, digest(body), body, query=query)
    assert r.status_code == 414
    assert registry.manifest(repo, digest(body)).status_code == 404


def test_content_type_parameters_are_ignored(registry, repo):
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    r = registry.put_manifest(repo, "t", body, OCI_MANIFEST + "; charset=utf-8")
    assert r.status_code == 201
    assert registry.manifest(repo, "t").headers["Content-Type"] == OCI_MANIFEST


def test_body_without_media_type(registry, repo):
    """Old Helm charts: the Content-Type decides."""
    registry.push_blob(repo, b"{}")
    body = json.loads(image(b"{}", []))
    del body["mediaType"]
    r = registry.put_manifest(repo, "t", dumps(body))
    assert r.status_code == 201
    assert registry.manifest(repo, "t").headers["Content-Type"] == OCI_MANIFEST


def test_4_mib_is_the_limit(registry, repo):
    registry.push_blob(repo, b"{}")
    room = 4 * 1024 * 1024 - len(image(b"{}", [], annotations={"x": ""}))
    exact = image(b"{}", [], annotations={"x": "y" * room})
    assert len(exact) == 4 * 1024 * 1024
    assert registry.put_manifest(repo, "t", exact).status_code == 201
    assert registry.put_manifest(repo, "u", chunked(exact)).status_code == 201
    assert registry.manifest(repo, "u").content == exact
    above = image(b"{}", [], annotations={"x": "y" * (room + 1)})
    for body in (above, chunked(above)):
        try:
            r = registry.put_manifest(repo, "v", body)
        except OSError:
            continue  # refused before all of it was sent, which the client library does not see
        error_of(r, 413, r.json()["errors"][0]["code"])
    assert registry.manifest(repo, "v").status_code == 404


def test_413_is_readable_by_a_careful_client(berth, registry, repo):
    """With a length the answer comes before the body."""
    from registry_client import Raw
    with Raw(berth.url) as c:
        c.send(f"PUT /v2/{repo}/manifests/t HTTP/1.1\r\nHost: x\r\nContent-Type: {OCI_MANIFEST}\r\n"
               f"Content-Length: {4 * 1024 * 1024 + 1}\r\nExpect: 100-continue\r\n\r\n")
        status, headers, body = c.response("PUT")
    assert status == 413
    assert json.loads(body)["errors"][0]["detail"]


def test_layer_types_and_artifact_types_are_free(registry, repo):
    registry.push_blob(repo, b"chart")
    registry.push_blob(repo, b"{}")
    for config_type, layer_type in (
            ("application/vnd.cncf.helm.config.v1+json",
             "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
            ("application/vnd.wasm.config.v0+json", "application/wasm"),
            ("application/vnd.unheard.of+thing", "x/y")):
        body = image(b"{}", [b"chart"], config_type=config_type, layer_type=layer_type)
        assert registry.put_manifest(repo, "t", body).status_code == 201, config_type


def test_manifests_of_other_repositories_are_unknown_here(registry, repo):
    body = registry.push_image(repo, "t")
    error_of(registry.manifest(repo + "-x", digest(body)), 404, "MANIFEST_UNKNOWN")
