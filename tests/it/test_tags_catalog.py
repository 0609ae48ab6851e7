# SPDX-License-Identifier: Apache-2.0
"""Lists: tags (oci.md 1.7) and the catalog, whole and in pages, at sizes where paging matters."""

import re

import pytest
from registry_client import Registry, digest, error_of, image

LINK = re.compile(r'<([^>]+)>;\s*rel="?next"?$')


def walk(registry, path, key):
    """All pages; checks that each follows the one before."""
    pages = []
    while path:
        r = registry.get(path)
        assert r.status_code == 200, r.text
        assert r.headers["Content-Type"] == "application/json"
        pages.append(r.json()[key])
        link = r.headers.get("Link")
        path = None
        if link:
            m = LINK.match(link)
            assert m and m.group(1).startswith("/v2/"), link
            path = m.group(1)
        assert len(pages) < 3000
    return pages


@pytest.fixture(scope="module")
def many(shared_berth):
    """A repository with 10,000 tags."""
    registry = Registry(shared_berth.url)
    repo = "many/tags"
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    tags = [f"v{k:05d}" for k in range(10_000)]
    for at in range(0, len(tags), 50):
        query = "?" + "&".join(f"tag={t}" for t in tags[at:at + 50])
        r = registry.put_manifest(repo, digest(body), body, query=query)
        assert r.status_code == 201, r.text
    return repo, tags


def test_unknown_repository(registry):
    error_of(registry.tags("no/such"), 404, "NAME_UNKNOWN")
    error_of(registry.tags("no/such", n=0), 404, "NAME_UNKNOWN")


def test_empty_list_is_a_list(registry, repo):
    registry.push_blob(repo, b"only a blob")
    r = registry.tags(repo)
    assert r.status_code == 200
    assert r.json() == {"name": repo, "tags": []}
    assert '"tags":[]' in r.text.replace(" ", "")


def test_byte_order(registry, repo):
    tags = ["b", "B", "a", "_x", "1", "10", "2", "a.b", "a-b", "a_b", "Z", "z"]
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    for tag in tags:
        registry.push_manifest(repo, tag, body)
    want = sorted(tags)
    assert registry.tags(repo).json()["tags"] == want
    for n in range(1, len(tags) + 2):
        pages = walk(registry, f"/v2/{repo}/tags/list?n={n}", "tags")
        assert sum(pages, []) == want
        assert all(len(p) == n for p in pages[:-1])
    for k, tag in enumerate(want):
        assert registry.tags(repo, last=tag).json()["tags"] == want[k + 1:]
        assert registry.tags(repo, last=tag, n=2).json()["tags"] == want[k + 1:k + 3]


def test_last_need_not_exist(registry, repo):
    registry.push_image(repo, "b")
    for last, want in (("a", ["b"]), ("b", []), ("c", []), ("", ["b"]), ("b%20", []),
                       ("%C3%A4", []), ("a/b", ["b"])):
        r = registry.get(f"/v2/{repo}/tags/list?last={last}")
        assert r.status_code in (200, 400), r.text
        if r.status_code == 200:
            assert r.json()["tags"] == want, last


def test_n_zero(registry, repo):
    registry.push_image(repo, "t")
    r = registry.tags(repo, n=0)
    assert r.status_code == 200
    assert r.json()["tags"] == []
    assert "Link" not in r.headers


@pytest.mark.parametrize("n", ["-1", "x", "1x", " ", "+1", "0x10", "1.5", "1e3", "%00", "--"])
def test_bad_n(registry, repo, n):
    registry.push_image(repo, "t")
    for path in (f"/v2/{repo}/tags/list", "/v2/_catalog"):
        error_of(registry.get(f"{path}?n={n}"), 400, "PAGINATION_NUMBER_INVALID")


def test_an_empty_n_is_none(registry, repo):
    """As in registry 2 and 3."""
    registry.push_image(repo, "t")
    assert registry.get(f"/v2/{repo}/tags/list?n=&last=").json()["tags"] == ["t"]
    assert registry.get("/v2/_catalog?n=").status_code == 200


@pytest.mark.parametrize("n", [10**9, 2**31, 2**32, 2**63 - 1])
def test_huge_n_is_a_page(registry, repo, n):
    """It sizes nothing (CVE-2023-2253)."""
    registry.push_image(repo, "t")
    for path, key in ((f"/v2/{repo}/tags/list", "tags"), ("/v2/_catalog", "repositories")):
        r = registry.get(f"{path}?n={n}")
        assert r.status_code == 200
        assert r.json()[key]


@pytest.mark.parametrize("n", [2**63, 2**64, 10**40])
def test_n_past_63_bits(registry, repo, n):
    registry.push_image(repo, "t")
    r = registry.tags(repo, n=n)
    assert r.status_code in (200, 400)


def test_ten_thousand_tags(registry, many):
    repo, tags = many
    pages = walk(registry, f"/v2/{repo}/tags/list", "tags")
    assert sum(pages, []) == tags
    pages = walk(registry, f"/v2/{repo}/tags/list?n=1000", "tags")
    assert sum(pages, []) == tags
    assert [len(p) for p in pages] == [1000] * 10
    r = registry.tags(repo, n=3, last="v04999")
    assert r.json()["tags"] == ["v05000", "v05001", "v05002"]


def test_maxtags_is_about_a_named_n(fresh_berth):
    """As registry 3.1: who names no n gets them all."""
    registry = Registry(fresh_berth(options={"tags.maxtags": 2}).url)
    for tag in "abcde":
        registry.push_image("r", tag)
    for query in ("", "?n=", "?last="):
        r = registry.get(f"/v2/r/tags/list{query}")
        assert r.json()["tags"] == list("abcde")
        assert "Link" not in r.headers
    assert registry.get("/v2/r/tags/list?last=b").json()["tags"] == list("cde")
    r = registry.tags("r", n=4)
    assert r.json()["tags"] == ["a", "b"]
    assert r.headers["Link"] == '</v2/r/tags/list?last=b&n=2>; rel="next"'
    assert registry.tags("r", n=1).json()["tags"] == ["a"]


def test_the_default_page_holds_what_the_suite_pushes(registry, repo):
    """2.4.14: `last` alone, and Link not followed, for a few dozen tags."""
    registry.push_blob(repo, b"{}")
    body = image(b"{}", [])
    tags = sorted(f"t{k}" for k in range(60))
    registry.put_manifest(repo, digest(body), body, query="?" + "&".join(f"tag={t}" for t in tags))
    assert registry.tags(repo).json()["tags"] == tags
    assert registry.tags(repo, last=tags[10]).json()["tags"] == tags[11:]


def test_catalog(fresh_berth):
    registry = Registry(fresh_berth().url)
    assert registry.catalog().json() == {"repositories": []}
    names = [f"p{k % 7}/r{k}" for k in range(40)] + ["single", "a-b", "a/b", "a.b/c", "a"]
    for name in names:
        registry.push_image(name, "t")
    want = sorted(names)
    assert registry.catalog().json()["repositories"] == want
    for n in (1, 7, 44, 45, 46):
        pages = walk(registry, f"/v2/_catalog?n={n}", "repositories")
        assert sum(pages, []) == want, n
        assert all(len(p) == n for p in pages[:-1])
    r = registry.catalog(n=0)
    assert r.json() == {"repositories": []} and "Link" not in r.headers
    assert registry.catalog(last="a-b", n=2).json()["repositories"] == want[
        want.index("a-b") + 1:][:2]


def test_a_page_and_its_link(registry, repo):
    for tag in "abc":
        registry.push_image(repo, tag)
    r = registry.tags(repo, n=2)
    assert r.json()["tags"] == ["a", "b"]
    target = LINK.match(r.headers["Link"]).group(1)
    assert target.startswith(f"/v2/{repo}/tags/list?")
    assert {"n=2", "last=b"} <= set(target.split("?")[1].split("&"))
    r = registry.get(target)
    assert r.json()["tags"] == ["c"] and "Link" not in r.headers
