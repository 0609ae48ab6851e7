# SPDX-License-Identifier: Apache-2.0
"""The engine over TLS, and behind the PROXY protocol: what clients do to a connection, done to an
encrypted one. tests/unit/http/test_server_tls.c has the corners that need the inside."""

import hashlib
import json
import os
import resource
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
from certs import Authority
from harness import Berth, wait_for
from registry_client import Raw, Registry, closing, digest

SIZE = 24 << 20
IDLE_KIB = 20  # resident memory that an idle TLS connection may take: 15, nearly all of it OpenSSL's


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def start(path, authority, http="", **kw):
    """https first, then plain, then https behind the PROXY protocol."""
    path.mkdir(parents=True)
    crt, key = authority.issue("server")
    file = path / "config.yml"
    file.write_text(f"""\
version: 0.1
http:
  tls: {{certificate: {crt}, key: {key}}}
  listeners:
    - {{addr: '127.0.0.1:0', tls: false}}
    - {{addr: '127.0.0.1:0', proxyprotocol: true}}
{http}""")
    return Berth(path / "b", config=file, **kw)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, authority):
    server = start(tmp_path_factory.mktemp("tls") / "s", authority)
    yield server
    server.stop()


@pytest.fixture
def server(shared):
    yield shared
    assert shared.alive(), shared.log()[-6000:]
    shared.check_log()


def context(authority, version=None):
    c = ssl.create_default_context(cafile=authority.ca)
    if version:
        c.minimum_version = c.maximum_version = version
    return c


class Tls(Raw):
    """A TLS connection; `first` is sent before the handshake."""

    def __init__(self, url, authority, first=b"", version=None, receive=None, timeout=60):
        host, port = url.split("://")[1].rsplit(":", 1)
        sock = socket.socket()
        sock.settimeout(timeout)
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.connect((host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if first:
            sock.sendall(first)
        self.sock = context(authority, version).wrap_socket(sock, server_hostname="localhost")
        self.stream = type("Stream", (), {"file": self.sock.makefile("rb")})()
        self.stream.makefile = lambda _mode, file=self.stream.file: Keep(file)


class Keep:
    """A response's end does not close the connection."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        return None


def push(server, repo, data):
    registry = Registry(server.urls[1])
    dgst = registry.push_blob(repo, data)
    registry.session.close()
    return dgst


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_pipelining(server, authority, version):
    with Tls(server.url, authority, version=version) as c:
        one = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Request-Id: n%d\r\n\r\n"
        c.send(b"".join(one % i for i in range(300)))
        for i in range(300):
            status, headers, _ = c.response()
            assert status == 200 and headers["X-Request-Id"] == f"n{i}"


def test_large_bodies(server, authority, repo):
    data = os.urandom(SIZE)
    dgst = digest(data)
    location = Registry(server.urls[1]).start(repo)
    with Tls(server.url, authority) as c:
        c.request("PUT", closing(location, dgst).replace(server.urls[1], ""),
                  {"Content-Length": len(data)}, data)
        assert c.response("PUT")[0] == 201
        for first, last in ((0, SIZE - 1), (5, 5), (1 << 20, 9 << 20)):
            c.request("GET", f"/v2/{repo}/blobs/{dgst}", {"Range": f"bytes={first}-{last}"})
            status, _, body = c.response()
            assert status == 206 and body == data[first:last + 1]


def test_slow_readers(server, authority, repo):
    """They take what there is for them in the end, and keep nobody waiting."""
    data = os.urandom(4 << 20)
    dgst = push(server, repo, data)
    slow = [Tls(server.url, authority, receive=65536) for _ in range(20)]
    for c in slow:
        c.request("GET", f"/v2/{repo}/blobs/{dgst}")
    time.sleep(0.3)
    before = time.monotonic()
    for _ in range(20):
        with Tls(server.url, authority) as c:
            c.request("GET", "/v2/")
            assert c.response()[0] == 200
    assert time.monotonic() - before < 10
    for c in slow:
        status, _, body = c.response()
        assert status == 200 and hashlib.sha256(body).hexdigest() == dgst[7:]
        c.close()


def test_half_close(server, authority, repo):
    data = os.urandom(3 << 20)
    dgst = push(server, repo, data)
    with Tls(server.url, authority) as c:
        c.request("GET", f"/v2/{repo}/blobs/{dgst}")
        c.sock.shutdown(socket.SHUT_WR)
        # From here on the ssl module has no plain way to read; the connection ends by itself.
        raw = c.sock.detach()
        total = 0
        with socket.socket(fileno=raw) as plain:
            plain.settimeout(60)
            while chunk := plain.recv(1 << 16):
                total += len(chunk)
        assert total > len(data)


def test_aborted_handshakes(server, authority):
    hello = ssl.MemoryBIO()
    tls = context(authority).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = hello.read()
    before, fds = server.metric_sum("berth_tls_handshake_failures_total"), server.fds()
    for i in range(60):
        with Raw(server.url) as c:
            c.send(hello[:len(hello) // 2 if i % 3 else None])
            if i % 3 == 2:
                c.abort()
    wait_for(lambda: server.metric_sum("berth_tls_handshake_failures_total") == before + 60,
             what="60 failures")
    wait_for(lambda: server.fds() <= fds, what="the descriptors back")
    with Tls(server.url, authority) as c:
        c.request("GET", "/v2/")
        assert c.response()[0] == 200


def test_the_wrong_protocol(server, authority):
    with Raw(server.url) as c:
        c.request("GET", "/v2/")
        assert c.response()[0] == 400
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Tls(server.urls[1], authority)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Tls(server.urls[2], authority)  # without a PROXY header


def v2(address, port, tls=False):
    tlv = b"\x20\0\5\1\0\0\0\0" if tls else b""
    body = socket.inet_aton(address) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", port, 443)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(body + tlv)) + body + tlv


@pytest.mark.parametrize("header, peer", [
    (b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n", "203.0.113.7:4711"),
    (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "[2001:db8::7]:4711"),
    (v2("203.0.113.8", 4712), "203.0.113.8:4712"),
    (v2("203.0.113.9", 4713, tls=True), "203.0.113.9:4713"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1:"),
])
def test_behind_the_proxy_protocol(server, authority, repo, header, peer):
    name = repo.replace("/", "-")[:60]
    with Tls(server.urls[2], authority, first=header) as c:
        c.request("GET", "/v2/", {"X-Request-Id": name, "X-Forwarded-For": "9.9.9.9"})
        assert c.response()[0] == 200
    line = wait_for(lambda: next((x for x in server.records() if x.get("id") == name), None))
    # The client is not trusted, whoever brought it; the proxy itself is.
    assert line["peer"].startswith("9.9.9.9" if b"UNKNOWN" in header else peer)
    assert line["socket_peer"].startswith("127.0.0.1:")
    assert line["tls"] == "TLSv1.3"


def test_many_connections(tmp_path, authority):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    # What the sanitizers add would say nothing.
    server = start(tmp_path / "s", authority, nofile=8192, kind="release")
    try:
        shake = context(authority)

        def connect():
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            return shake.wrap_socket(sock, server_hostname="localhost")

        def ask(sock):
            sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")

        every = [connect() for _ in range(50)]  # whatever is allocated once
        for sock in every:
            ask(sock)
        before = server.rss_kib()
        every += [connect() for _ in range(950)]
        for sock in every:
            ask(sock)
        grown = server.rss_kib() - before
        assert grown < 950 * IDLE_KIB, f"{grown / 950:.1f} KiB for a connection"
        assert server.metric_sum("berth_http_connections") >= 1000
        for sock in every:
            sock.close()
        wait_for(lambda: server.metric_sum("berth_http_connections") < 10, what="the end of all")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.stop()


def subject(sock):
    return sock.getpeercert()["serialNumber"]


def test_reload_during_a_download(tmp_path, authority):
    server = start(tmp_path / "s", authority)
    try:
        data = os.urandom(8 << 20)
        dgst = push(server, "a/b", data)
        with Tls(server.url, authority, receive=65536) as c:
            c.request("GET", f"/v2/a/b/blobs/{dgst}")
            old = subject(c.sock)
            authority.issue("server")
            server.signal(signal.SIGHUP)

            def renewed():
                with Tls(server.url, authority) as other:
                    return subject(other.sock) != old
            wait_for(renewed, what="the new certificate")
            assert c.response()[2] == data
            c.request("GET", "/v2/")
            assert c.response()[0] == 200
    finally:
        server.stop()


def test_drain(tmp_path, authority):
    server = start(tmp_path / "s", authority)
    data = os.urandom(8 << 20)
    dgst = push(server, "a/b", data)
    idle = Tls(server.url, authority)
    idle.request("GET", "/v2/")
    assert idle.response()[0] == 200
    shaking = Raw(server.url)
    down = Tls(server.url, authority, receive=65536)
    down.request("GET", f"/v2/a/b/blobs/{dgst}")
    wait_for(lambda: server.metric_sum("registry_http_in_flight_requests") == 1, what="the answer")
    ended = threading.Thread(target=server.stop)
    ended.start()
    assert idle.sock.recv(1) == b""  # a close_notify: an end without one raises
    status, _, body = down.response()
    assert status == 200 and body == data
    assert down.sock.recv(1) == b""
    assert shaking.closed()
    ended.join(60)
    assert not ended.is_alive()
    for c in (idle, shaking, down):
        c.close()


def test_client_certificates(tmp_path, authority):
    crt, key = authority.issue("client", usage="clientAuth", subject="/O=ci/CN=builder")
    path = tmp_path / "s"
    path.mkdir()
    server_crt, server_key = authority.issue("server")
    file = path / "config.yml"
    file.write_text(json.dumps({"version": 0.1, "http": {"tls": {
        "certificate": str(server_crt), "key": str(server_key), "clientcas": [str(authority.ca)],
        "clientauth": "verify-client-cert-if-given"}}}))
    server = Berth(path / "b", config=file)
    try:
        c = context(authority)
        c.load_cert_chain(crt, key)
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
            with c.wrap_socket(sock, server_hostname="localhost") as tls:
                tls.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Request-Id: known\r\n\r\n")
                assert tls.recv(4096).startswith(b"HTTP/1.1 200 ")
        with Tls(server.url, authority) as stranger:
            stranger.request("GET", "/v2/", {"X-Request-Id": "stranger"})
            assert stranger.response()[0] == 200
        lines = wait_for(lambda: (lambda x: x if len(x) == 2 else None)(
            {r["id"]: r for r in server.records() if r.get("id") in ("known", "stranger")}))
        assert lines["known"]["tls_client"] == "CN=builder,O=ci"
        assert "tls_client" not in lines["stranger"]
    finally:
        server.stop()
