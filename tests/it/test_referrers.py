# SPDX-License-Identifier: Apache-2.0
"""Referrers (oci.md 1.8, 2.4.12, 7.3)."""

import json
import os
import re

import pytest
from registry_client import (DOCKER_MANIFEST, EMPTY_BLOB, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST,
                             descriptor, digest, error_of, image, index)


@pytest.fixture(params=["sha256", "sha512"])
def alg(request):
    return request.param


def attach(registry, repo, subject, alg="sha256", artifact_type="application/vnd.x.sig", **more):
    registry.push_blob(repo, EMPTY_BLOB, alg)
    body = image(EMPTY_BLOB, [EMPTY_BLOB], config_type=OCI_EMPTY, layer_type=OCI_EMPTY, alg=alg,
                 subject=subject, artifactType=artifact_type, **more)
    r = registry.put_manifest(repo, digest(body, alg), body)
    assert r.status_code == 201
    assert r.headers["OCI-Subject"] == subject["digest"]
    return body


def listed(registry, repo, dgst, **params):
    r = registry.referrers(repo, dgst, **params)
    assert r.status_code == 200, r.text
    assert r.headers["Content-Type"] == OCI_INDEX
    assert int(r.headers["Content-Length"]) == len(r.content)
    body = r.json()
    assert body["schemaVersion"] == 2
    assert body["mediaType"] == OCI_INDEX
    assert isinstance(body["manifests"], list)
    return r, body["manifests"]


def test_never_404(registry, repo, alg):
    dgst = digest(b"nobody", alg)
    for repository in (repo, "never/heard/of"):
        _, entries = listed(registry, repository, dgst)
        assert entries == []
    registry.push_image(repo, "t")
    assert listed(registry, repo, dgst)[1] == []


@pytest.mark.parametrize("bad", ["sha256:x", "latest", "sha256:" + "A" * 64, "md5:" + "0" * 32])
def test_bad_digest(registry, repo, bad):
    error_of(registry.referrers(repo, bad), 400, "DIGEST_INVALID")


def test_entries(registry, repo, alg):
    body = registry.push_image(repo, None, alg=alg)
    subject = descriptor(body, OCI_MANIFEST, alg)
    notes = {"org.example.a": "b", "ü": "\n\"quoted\"", "empty": ""}
    first = attach(registry, repo, subject, alg, annotations=notes)
    # Without artifactType the config's media type stands for it.
    registry.push_blob(repo, b"cfg", alg)
    second = image(b"cfg", [], config_type="application/vnd.cncf.notary.signature", alg=alg,
                   subject=subject)
    registry.push_manifest(repo, digest(second, alg), second, alg=alg)
    # An index: its own artifactType, or none.
    third = index([], subject=subject, artifactType="application/vnd.x.set", annotations={"k": "v"})
    registry.push_manifest(repo, digest(third, alg), third, OCI_INDEX, alg)
    fourth = index([], subject=subject, annotations={"no": "type"})
    registry.push_manifest(repo, digest(fourth, alg), fourth, OCI_INDEX, alg)
    _, entries = listed(registry, repo, subject["digest"])
    got = {e["digest"]: e for e in entries}
    assert got == {
        digest(first, alg): {**descriptor(first, OCI_MANIFEST, alg), "annotations": notes,
                             "artifactType": "application/vnd.x.sig"},
        digest(second, alg): {**descriptor(second, OCI_MANIFEST, alg),
                              "artifactType": "application/vnd.cncf.notary.signature"},
        digest(third, alg): {**descriptor(third, OCI_INDEX, alg), "annotations": {"k": "v"},
                             "artifactType": "application/vnd.x.set"},
        digest(fourth, alg): {**descriptor(fourth, OCI_INDEX, alg), "annotations": {"no": "type"}},
    }


def test_filter(registry, repo):
    body = registry.push_image(repo, "t")
    subject = descriptor(body, OCI_MANIFEST)
    kinds = ["application/vnd.a+json", "application/vnd.b", "application/vnd.c"]
    made = {k: attach(registry, repo, subject, artifact_type=k) for k in kinds}
    r, entries = listed(registry, repo, subject["digest"])
    assert len(entries) == 3 and "OCI-Filters-Applied" not in r.headers
    for kind in kinds:
        r, entries = listed(registry, repo, subject["digest"], artifactType=kind)
        assert [e["digest"] for e in entries] == [digest(made[kind])]
        assert r.headers["OCI-Filters-Applied"] == "artifactType"
    r, entries = listed(registry, repo, subject["digest"], artifactType="application/none")
    assert entries == [] and r.headers["OCI-Filters-Applied"] == "artifactType"


def test_subject_after_its_referrer(registry, repo):
    """cosign and notation push a signature before or after: both are listed."""
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    subject = descriptor(body, OCI_MANIFEST)
    sig = attach(registry, repo, subject)
    assert [e["digest"] for e in listed(registry, repo, subject["digest"])[1]] == [digest(sig)]
    registry.push_manifest(repo, "t", body)
    assert [e["digest"] for e in listed(registry, repo, subject["digest"])[1]] == [digest(sig)]


def test_other_repositories_are_not_listed(registry, repo):
    body = registry.push_image(repo, "t")
    subject = descriptor(body, OCI_MANIFEST)
    attach(registry, repo + "-other", subject)
    assert listed(registry, repo, subject["digest"])[1] == []
    assert len(listed(registry, repo + "-other", subject["digest"])[1]) == 1


def test_deleted_referrers_go(registry, repo):
    body = registry.push_image(repo, "t")
    subject = descriptor(body, OCI_MANIFEST)
    sigs = [attach(registry, repo, subject, annotations={"n": str(k)}) for k in range(3)]
    assert registry.manifest(repo, digest(sigs[1]), "DELETE").status_code == 202
    left = {e["digest"] for e in listed(registry, repo, subject["digest"])[1]}
    assert left == {digest(sigs[0]), digest(sigs[2])}
    # The subject's own deletion leaves them listed: they are content of their own.
    assert registry.manifest(repo, digest(body), "DELETE").status_code == 202
    assert {e["digest"] for e in listed(registry, repo, subject["digest"])[1]} == left


def test_a_docker_manifest_as_subject(registry, repo):
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [], DOCKER_MANIFEST)
    registry.push_manifest(repo, "t", body, DOCKER_MANIFEST)
    subject = descriptor(body, DOCKER_MANIFEST)
    sig = attach(registry, repo, subject)
    assert [e["digest"] for e in listed(registry, repo, subject["digest"])[1]] == [digest(sig)]


def test_fallback_tag_is_only_a_tag(registry, repo):
    """Clients without the API write `sha256-<hex>`; its descriptors are not believed, the manifests
    under it are listed by their own subject."""
    body = registry.push_image(repo, "t")
    subject = descriptor(body, OCI_MANIFEST)
    sig = attach(registry, repo, subject, annotations={"real": "yes"})
    fallback = subject["digest"].replace(":", "-")
    lie = index([{**descriptor(sig, OCI_MANIFEST), "artifactType": OCI_EMPTY}])
    registry.push_manifest(repo, fallback, lie, OCI_INDEX)
    assert registry.manifest(repo, fallback).content == lie
    _, entries = listed(registry, repo, subject["digest"])
    assert len(entries) == 1
    assert entries[0]["artifactType"] == "application/vnd.x.sig"
    assert entries[0]["annotations"] == {"real": "yes"}


def test_pages(registry, repo):
    """Too long for one answer: each page is an index and links to the next, none is above 4 MB."""
    body = registry.push_image(repo, "t")
    subject = descriptor(body, OCI_MANIFEST)
    made = {digest(attach(registry, repo, subject, annotations={"n": str(k), "x": "y" * 400_000}))
            for k in range(25)}
    seen = []
    path = f"/v2/{repo}/referrers/{subject['digest']}?artifactType=application%2Fvnd.x.sig"
    pages = 0
    while path:
        r = registry.get(path)
        assert r.status_code == 200
        assert len(r.content) <= 4 * 1024 * 1024 + 500_000
        assert r.headers["OCI-Filters-Applied"] == "artifactType"
        assert json.loads(r.content)["mediaType"] == OCI_INDEX
        seen += [e["digest"] for e in r.json()["manifests"]]
        link = r.headers.get("Link")
        path = re.match(r'<([^>]+)>; rel="next"', link).group(1) if link else None
        pages += 1
    assert pages > 1
    assert len(seen) == len(set(seen)) == 25
    assert set(seen) == made


def test_many_small_ones(registry, repo):
    body = registry.push_image(repo, "t")
    subject = descriptor(body, OCI_MANIFEST)
    made = {digest(attach(registry, repo, subject, annotations={"n": os.urandom(8).hex()}))
            for _ in range(120)}
    path, seen = f"/v2/{repo}/referrers/{subject['digest']}", set()
    while path:
        r = registry.get(path)
        seen |= {e["digest"] for e in r.json()["manifests"]}
        link = r.headers.get("Link")
        path = re.match(r'<([^>]+)>; rel="next"', link).group(1) if link else None
    assert seen == made
