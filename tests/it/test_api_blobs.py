# SPDX-License-Identifier: Apache-2.0
"""Blobs: every way to push one, and what is answered (oci.md 1.5, 2.3, 2.4), with sha256 and
sha512, and with sizes on both sides of the border between the database and the files."""

import os

import pytest
import requests
from registry_client import OCTETS, UUID, Raw, chunked, closing, digest, error_of

ALGS = ["sha256", "sha512"]
SIZES = [0, 1, 2, 2048, 65535, 65536, 65537, 1 << 20, 3_000_001]


@pytest.fixture(params=ALGS)
def alg(request):
    return request.param


def check_created(registry, repo, r, data, alg):
    """201 with a Location that can be pulled, and the digest header."""
    dgst = digest(data, alg)
    assert r.status_code == 201, (r.status_code, r.text)
    assert r.headers["Docker-Content-Digest"] == dgst
    assert r.headers["Content-Length"] == "0"
    assert r.headers["Location"].endswith(f"/v2/{repo}/blobs/{dgst}")
    back = registry.get(r.headers["Location"])
    assert back.status_code == 200
    assert back.content == data
    assert back.headers["Docker-Content-Digest"] == dgst
    assert back.headers["Content-Type"] == OCTETS
    assert back.headers["Content-Length"] == str(len(data))
    head = registry.head(r.headers["Location"])
    assert head.status_code == 200
    assert head.headers["Content-Length"] == str(len(data))
    assert head.headers["Docker-Content-Digest"] == dgst
    assert head.headers["Accept-Ranges"] == "bytes"
    assert head.headers["ETag"] == f'"{dgst}"'


def test_get_missing(registry, repo, alg):
    dgst = digest(b"missing", alg)
    for repository in (repo, "not/even/a/repository"):
        error_of(registry.blob(repository, dgst), 404, "BLOB_UNKNOWN")
        assert registry.blob(repository, dgst, "HEAD").status_code == 404
    registry.push_blob(repo, b"another", alg)
    error_of(registry.blob(repo, dgst), 404, "BLOB_UNKNOWN")


def test_session_start(registry, repo):
    r = registry.post(f"/v2/{repo}/blobs/uploads/")
    assert r.status_code == 202
    location = r.headers["Location"]
    assert location.startswith((f"/v2/{repo}/blobs/uploads/", registry.url))
    assert UUID.search(location)
    assert r.headers["Docker-Upload-UUID"] in location
    assert r.headers["Range"] == "0-0"
    assert r.headers["Content-Length"] == "0"
    # The slash at the end is optional.
    assert registry.post(f"/v2/{repo}/blobs/uploads").status_code == 202


@pytest.mark.parametrize("size", SIZES)
def test_post_only(registry, repo, alg, size):
    data = os.urandom(size)
    r = registry.post(f"/v2/{repo}/blobs/uploads/?digest={digest(data, alg)}", data=data,
                      headers={"Content-Type": OCTETS})
    check_created(registry, repo, r, data, alg)


@pytest.mark.parametrize("size", SIZES)
def test_post_put(registry, repo, alg, size):
    data = os.urandom(size)
    check_created(registry, repo, registry.finish(registry.start(repo), digest(data, alg), data),
                  data, alg)


@pytest.mark.parametrize("size", [0, 10, 65536, 70000, 3_000_001])
def test_post_put_chunked_framing(registry, repo, alg, size):
    data = os.urandom(size)
    r = registry.finish(registry.start(repo), digest(data, alg), chunked(data))
    check_created(registry, repo, r, data, alg)


@pytest.mark.parametrize("size", [1, 2048, 65537, 3_000_001])
def test_chunked_single(registry, repo, alg, size):
    data = os.urandom(size)
    r = registry.append(registry.start(repo), data, start=0)
    assert r.status_code == 202
    assert r.headers["Range"] == f"0-{size - 1}"
    check_created(registry, repo, registry.finish(r.headers["Location"], digest(data, alg)), data,
                  alg)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [1, 2048, 65537, 3_000_001])
def test_stream(registry, repo, alg, size, framing):
    """A PATCH without Content-Range appends all of it: docker, skopeo, crane."""
    data = os.urandom(size)
    location = registry.start(repo)
    r = registry.append(location, data if framing == "length" else chunked(data))
    assert r.status_code == 202
    assert r.headers["Range"] == f"0-{size - 1}"
    assert UUID.search(r.headers["Location"])
    assert r.headers["Docker-Upload-UUID"] in r.headers["Location"]
    check_created(registry, repo, registry.finish(r.headers["Location"], digest(data, alg)), data,
                  alg)


@pytest.mark.parametrize("last_in_put", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1000, 1000, 48), (65536, 1, 65536),
                                   (70000, 1 << 20, 13)])
def test_chunked_multi(registry, repo, alg, sizes, last_in_put):
    pieces = [os.urandom(n) for n in sizes]
    data = b"".join(pieces)
    location = registry.start(repo)
    at = 0
    for piece in pieces[:-1] if last_in_put else pieces:
        r = registry.append(location, piece, start=at)
        assert r.status_code == 202
        at += len(piece)
        assert r.headers["Range"] == f"0-{at - 1}"
        location = r.headers["Location"]
        status = registry.get(location)
        assert status.status_code == 204
        assert status.headers["Range"] == f"0-{at - 1}"
        assert UUID.search(status.headers["Location"])
    if last_in_put:
        r = registry.finish(location, digest(data, alg), pieces[-1], start=at)
    else:
        r = registry.finish(location, digest(data, alg))
    check_created(registry, repo, r, data, alg)


def test_rfc_form_of_content_range_is_understood(registry, repo):
    r = registry.patch(registry.start(repo), data=b"0123456789",
                       headers={"Content-Range": "bytes 0-9/*"})
    assert r.status_code == 202


def test_old_regctl_exclusive_end(registry, repo):
    """Only that the start equals the offset is enforced: old regctl counted the end exclusively
    and closed with an empty PUT (oci.md 7.1)."""
    location = registry.start(repo)
    r = registry.patch(location, data=b"0123456789", headers={"Content-Range": "0-10"})
    assert r.status_code == 202
    r = registry.put(closing(r.headers["Location"], digest(b"0123456789")), data=b"",
                     headers={"Content-Range": "10-10"})
    assert r.status_code == 201


def test_a_closing_put_says_where_it_stands(registry, repo):
    """Also one without a body: what the client believes to be there is not."""
    location = registry.start(repo)
    r = registry.patch(location, data=b"0123456789", headers={"Content-Range": "0-9"})
    url = closing(r.headers["Location"], digest(b"0123456789"))
    r = registry.put(url, headers={"Content-Range": "20-20"})
    error_of(r, 416, "RANGE_INVALID")
    assert r.headers["Range"] == "0-9"
    assert registry.put(url, headers={"Content-Range": "10-10"}).status_code == 201


def test_out_of_order(registry, repo, alg):
    """2.4.5: skipping ahead at first, resending from 0, and the closing PUT are all 416, and the
    session survives each."""
    data = os.urandom(2048)
    location = registry.start(repo)

    def survives(received):
        r = registry.get(location)
        assert r.status_code == 204
        assert r.headers["Location"]
        assert r.headers["Range"] == f"0-{max(received - 1, 0)}"

    error_of(registry.append(location, data[1000:], start=1000), 416, "RANGE_INVALID")
    survives(0)
    assert registry.append(location, data[:1000], start=0).status_code == 202
    r = registry.append(location, data[:1000], start=0)
    error_of(r, 416, "RANGE_INVALID")
    assert r.headers["Range"] == "0-999"
    survives(1000)
    error_of(registry.append(location, data[1500:], start=1500), 416, "RANGE_INVALID")
    error_of(registry.finish(location, digest(data, alg), data[1500:], start=1500), 416,
             "RANGE_INVALID")
    error_of(registry.finish(location, digest(data, alg), data[:1000], start=0), 416,
             "RANGE_INVALID")
    survives(1000)
    r = registry.finish(location, digest(data, alg), data[1000:], start=1000)
    check_created(registry, repo, r, data, alg)


EDGES = ["0", "-1", "1-", "a-b", "5-4", "0-", "", "0-1-2", "0x0-0x9", "bytes=0-9", "bytes 0-9",
         f"0-{2**63 - 1}", f"0-{2**63}", f"0-{2**64}", f"{2**64}-{2**64 + 9}", f"{2**31}-{2**31 + 9}",
         f"{2**32}-{2**32 + 9}", f"{2**63 - 1}-{2**63}", "0-" + "9" * 40, "9" * 40 + "-9", "+0-9",
         "0-+9", "0 - 9"]


@pytest.mark.parametrize("value", EDGES)
def test_content_range_edges(registry, repo, value):
    """Never a 5xx, never more appended than was sent, and never at a wrong place."""
    location = registry.start(repo)
    r = registry.patch(location, data=b"0123456789", headers={"Content-Range": value})
    assert r.status_code in (202, 400, 416), r.text
    status = registry.get(location)
    assert status.status_code == 204
    if r.status_code != 202:
        error_of(r, r.status_code, r.json()["errors"][0]["code"])
        assert status.headers["Range"] == "0-0"
        r = registry.append(location, b"0123456789", start=0)
        assert r.status_code == 202
    assert registry.finish(location, digest(b"0123456789")).status_code == 201


@pytest.mark.parametrize("how", ["post only", "post+put", "chunked", "chunked and put chunk",
                                 "stream"])
@pytest.mark.parametrize("size", [2048, 200_000])
def test_bad_digest(berth, registry, repo, alg, how, size):
    """2.4.6: exactly 400, and nothing is kept."""
    data = os.urandom(size)
    wrong = digest(data + b"x", alg)
    if how == "post only":
        r = registry.post(f"/v2/{repo}/blobs/uploads/?digest={wrong}", data=data,
                          headers={"Content-Type": OCTETS})
    elif how == "post+put":
        r = registry.finish(registry.start(repo), wrong, data)
    else:
        location = registry.start(repo)
        cut = size // 2 if how == "chunked and put chunk" else size
        start = None if how == "stream" else 0
        r = registry.append(location, data[:cut], start=start)
        assert r.status_code == 202
        r = registry.finish(location, wrong, data[cut:], start=cut if cut < size else None)
    error_of(r, 400, "DIGEST_INVALID")
    for dgst in (wrong, digest(data, alg)):
        assert registry.blob(repo, dgst, "HEAD").status_code == 404
    if how != "post only" and how != "post+put":
        assert not any(s in location for s in berth.stages())


@pytest.mark.parametrize("bad", ["sha256", "sha256:", "sha256:x", "sha256:" + "0" * 63,
                                 "sha256:" + "0" * 65, "sha256:" + "A" * 64, "md5:" + "0" * 32,
                                 "sha512:" + "0" * 64, "SHA256:" + "0" * 64, "sha256:" + "g" * 64,
                                 "blake3:" + "0" * 64, "sha256%3A" + "zz" * 32, "%00", "%zz"])
def test_bad_digest_syntax(registry, repo, bad):
    location = registry.start(repo)
    r = registry.put(f"{closing(location, '')}{bad}", data=b"x")
    error_of(r, 400, "DIGEST_INVALID")
    r = registry.post(f"/v2/{repo}/blobs/uploads/?digest={bad}", data=b"x")
    error_of(r, 400, "DIGEST_INVALID")
    if bad and "%" not in bad:
        error_of(registry.blob(repo, bad), 400, "DIGEST_INVALID")


def test_put_without_digest(registry, repo):
    error_of(registry.put(registry.start(repo), data=b"x"), 400, "DIGEST_INVALID")
    error_of(registry.put(closing(registry.start(repo), ""), data=b"x"), 400, "DIGEST_INVALID")
    error_of(registry.post(f"/v2/{repo}/blobs/uploads/?digest="), 400, "DIGEST_INVALID")


def test_the_empty_blob_and_empty_json(registry, repo, alg):
    for data in (b"", b"{}"):
        location = registry.start(repo)
        check_created(registry, repo, registry.finish(location, digest(data, alg), data), data, alg)
    # Zero-length bodies come in both framings (2.4.1).
    dgst = digest(b"", alg)
    r = registry.post(f"/v2/{repo}/blobs/uploads/?digest={dgst}", data=chunked(b""))
    check_created(registry, repo, r, b"", alg)
    location = registry.start(repo)
    assert registry.patch(location, data=chunked(b"")).status_code == 202
    check_created(registry, repo, registry.finish(location, dgst, chunked(b"")), b"", alg)


def test_location_query_is_parsed_not_compared(registry, repo):
    """Clients re-encode the query and add to it."""
    location = registry.start(repo)
    joint = "&" if "?" in location else "?"
    dgst = digest(b"abc").replace(":", "%3A")
    r = registry.put(f"{location}{joint}_state=xyz&digest={dgst}&other=%2F", data=b"abc")
    assert r.status_code == 201


def test_absolute_location_of_the_same_server(registry, repo):
    location = registry.start(repo)
    path = location if location.startswith("/") else "/" + location.split("/", 3)[3]
    r = registry.finish(registry.url + path, digest(b"abc"), b"abc")
    assert r.status_code == 201


def test_digest_algorithm_is_announced(registry, repo):
    """end-4c: the session hashes with it from the start."""
    data = os.urandom(100_000)
    location = registry.start(repo, "?digest-algorithm=sha512")
    assert registry.append(location, data).status_code == 202
    r = registry.finish(location, digest(data, "sha512"))
    check_created(registry, repo, r, data, "sha512")
    # Another one at the end is no reason to fail: the closing PUT decides.
    location = registry.start(repo, "?digest-algorithm=sha512")
    assert registry.append(location, data).status_code == 202
    check_created(registry, repo, registry.finish(location, digest(data)), data, "sha256")


def test_unknown_digest_algorithm(registry, repo):
    error_of(registry.post(f"/v2/{repo}/blobs/uploads/?digest-algorithm=md5"), 400,
             "DIGEST_INVALID")


def test_head_right_after_put(registry, repo):
    for size in (10, 200_000):
        data = os.urandom(size)
        dgst = registry.push_blob(repo, data)
        r = registry.blob(repo, dgst, "HEAD")
        assert r.status_code == 200
        assert r.headers["Content-Length"] == str(size)


def test_content_type_of_an_upload_does_not_matter(registry, repo):
    for media_type in (None, "application/json", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": media_type} if media_type else {}
        location = registry.start(repo)
        r = registry.put(closing(location, digest(b"x")), data=b"x", headers=headers)
        assert r.status_code == 201


def test_expect_100_continue(berth, registry, repo):
    """The body is asked for once it is wanted, and not when it is not."""
    data = os.urandom(100_000)
    location = registry.start(repo)
    head = (f"PUT {closing(location, digest(data))} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n")
    with Raw(berth.url) as c:
        c.send(head)
        assert c.sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        c.send(data)
        assert c.response("PUT")[0] == 201
    nobody = f"/v2/{repo}/blobs/uploads/12345678-0000-4000-8000-123456789abc"
    with Raw(berth.url) as c:
        c.send(head.replace(location, nobody + ("?" if "?" in location else "")))
        status, _, _ = c.response("PUT")
        assert status == 404


def test_length_of_a_body_that_is_too_large_to_be(berth, registry, repo):
    """Content-Length at the edges of 31, 32, 63 and 64 bits: believed or refused, never wrapped."""
    for length, refused in ((2**31, False), (2**32 + 1, False), (2**63 - 1, False), (2**63, True),
                            (2**64, True), (2**64 + 5, True), (10**40, True)):
        location = registry.start(repo)
        with Raw(berth.url) as c:
            c.send(f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nhello")
            if refused:
                assert c.response("PATCH")[0] in (400, 413)
            else:
                c.sock.settimeout(0.05)
                try:
                    answer = c.response("PATCH")
                    assert answer[0] in (413, 507), answer
                except TimeoutError:
                    pass  # it waits for the rest
        if not refused:
            r = registry.delete(location)
            assert r.status_code in (204, 404, 409)


def test_mixed_order_of_many_sessions(registry, repo):
    """Sessions do not touch each other."""
    datas = [os.urandom(70_000 + k) for k in range(8)]
    locations = [registry.start(repo) for _ in datas]
    for at in (0, 30_000):
        for data, location in zip(datas, locations):
            end = 30_000 if at == 0 else len(data)
            assert registry.append(location, data[at:end], start=at).status_code == 202
    for data, location in reversed(list(zip(datas, locations))):
        assert registry.finish(location, digest(data)).status_code == 201
    for data in datas:
        assert registry.blob(repo, digest(data)).content == data


def test_unknown_sessions(registry, repo):
    nobody = f"/v2/{repo}/blobs/uploads/12345678-1234-4123-8123-123456789abc"
    error_of(registry.get(nobody), 404, "BLOB_UPLOAD_UNKNOWN")
    error_of(registry.patch(nobody, data=b"x"), 404, "BLOB_UPLOAD_UNKNOWN")
    error_of(registry.finish(nobody, digest(b"x"), b"x"), 404, "BLOB_UPLOAD_UNKNOWN")
    error_of(registry.delete(nobody), 404, "BLOB_UPLOAD_UNKNOWN")
    for bad in ("nonsense", "..", "1", "g" * 36, "a" * 200):
        r = registry.request("GET", f"/v2/{repo}/blobs/uploads/{bad}x")
        assert r.status_code in (400, 404)


def test_same_bytes_with_both_algorithms(registry, repo):
    data = os.urandom(100_000)
    for alg in ALGS:
        registry.push_blob(repo, data, alg)
    for alg in ALGS:
        assert registry.blob(repo, digest(data, alg)).content == data


def test_many_headers_of_a_session_reply_can_be_repeated(registry, repo):
    """A closing PUT with the same data twice over a fresh connection: the tombstone answers."""
    data = os.urandom(1000)
    location = registry.start(repo)
    for _ in range(3):
        with requests.Session() as s:
            s.trust_env = False
            r = s.put(registry.url + closing(location, digest(data)), data=data, timeout=30)
        assert r.status_code == 201
        assert r.headers["Docker-Content-Digest"] == digest(data)
