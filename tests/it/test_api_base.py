# SPDX-License-Identifier: Apache-2.0
"""end-1, methods, and what every answer has (oci.md 1.2, 1.4, 7.1)."""

import pytest
from registry_client import Raw, error_of, raw


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping(registry, method, path):
    r = registry.request(method, path)
    assert r.status_code == 200
    assert r.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert r.headers["Content-Type"] == "application/json"
    assert int(r.headers["Content-Length"]) == 2
    assert r.content == (b"{}" if method == "GET" else b"")
    assert r.headers["X-Request-Id"]


def test_request_ids_differ(registry):
    assert len({registry.get("/v2/").headers["X-Request-Id"] for _ in range(20)}) == 20


DIGEST = "sha256:" + "0" * 64
ALLOWED = [
    ("/v2/", {"GET", "HEAD", "OPTIONS"}),
    ("/v2/_catalog", {"GET", "HEAD", "OPTIONS"}),
    ("/v2/a/tags/list", {"GET", "HEAD", "OPTIONS"}),
    ("/v2/a/manifests/latest", {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}),
    (f"/v2/a/blobs/{DIGEST}", {"GET", "HEAD", "DELETE", "OPTIONS"}),
    ("/v2/a/blobs/uploads/", {"POST", "OPTIONS"}),
    (f"/v2/a/referrers/{DIGEST}", {"GET", "HEAD", "OPTIONS"}),
]


@pytest.mark.parametrize("path,allowed", ALLOWED)
def test_options(registry, path, allowed):
    r = registry.request("OPTIONS", path)
    assert r.status_code in (200, 204)
    assert {m.strip() for m in r.headers["Allow"].split(",")} == allowed
    assert r.content == b""


@pytest.mark.parametrize("path,allowed", ALLOWED)
def test_another_method_is_405_with_allow(registry, path, allowed):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        if method in allowed:
            continue
        r = registry.request(method, path)
        error_of(r, 405, "UNSUPPORTED")
        assert {m.strip() for m in r.headers["Allow"].split(",")} == allowed


def test_unheard_methods(berth):
    for method in ("TRACE", "CONNECT", "PROPFIND", "get", "BREW"):
        answer = raw(berth.url, method, "/v2/")
        assert answer and answer[0] in (400, 405, 501), (method, answer)


def test_the_root_is_there_for_load_balancers(registry):
    r = registry.get("/")
    assert (r.status_code, r.content) == (200, b"")
    assert r.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/v1/", "/v2/x", "/v3/", "/v2/a/b/c", "/v2/_oci/ext/nope",
                                  "/v2/a/tags", "/v2/a/tags/list/x", "/favicon.ico"])
def test_nothing_here(registry, path):
    r = registry.get(path)
    error_of(r, 404, r.json()["errors"][0]["code"])


def test_head_of_an_error_has_length_and_no_body(registry):
    r = registry.head(f"/v2/none/blobs/{DIGEST}")
    assert r.status_code == 404
    assert r.content == b""
    assert int(r.headers["Content-Length"]) > 0


def test_no_content_encoding(registry, repo):
    body = registry.push_image(repo, "t")
    for path in (f"/v2/{repo}/manifests/t", "/v2/_catalog", f"/v2/{repo}/tags/list"):
        r = registry.get(path, headers={"Accept-Encoding": "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"})
        assert r.status_code == 200
        assert "Content-Encoding" not in r.headers
        assert "Transfer-Encoding" not in r.headers
        assert int(r.headers["Content-Length"]) == len(r.content)
    assert registry.manifest(repo, "t").content == body


def test_keep_alive_and_pipelining(berth):
    with Raw(berth.url) as c:
        c.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n" * 5
               + b"GET /v2/_catalog?n=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            piece = c.sock.recv(65536)
            if not piece:
                break
            data += piece
    assert data.count(b"HTTP/1.1 200 ") == 6
    assert b'"repositories":[]' in data


def test_tls_hello_on_a_plain_port_is_closed_at_once(berth):
    """crane and skopeo try TLS first on a loopback port (oci.md 7.1)."""
    with Raw(berth.url, timeout=5) as c:
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x41" * 500)
        while c.sock.recv(4096):
            pass


def test_unix_socket(fresh_berth, tmp_path):
    import socket
    path = tmp_path / "s.sock"
    server = fresh_berth(addr=f"unix:{path}")
    assert "unix:" in server.url
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(path))
        s.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := s.recv(4096):
            data += piece
    assert data.startswith(b"HTTP/1.1 200 ")
    # A socket that a killed server left behind is replaced.
    server.kill9()
    server.start()
    assert "unix:" in server.url
