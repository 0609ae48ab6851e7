# SPDX-License-Identifier: Apache-2.0
"""Several listeners at once, systemd's sockets, prefixes and URLs, and whose word counts."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests
import unixhttp as unix
from certs import Authority
from harness import Berth, binary, free_port, wait_for
from registry_client import Registry, digest


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def config(path, body):
    path.write_text("version: 0.1\n" + body)
    return path


def test_http_https_and_unix_at_once(tmp_path, authority):
    crt, key = authority.issue("server")
    sock = tmp_path / "s.sock"
    file = config(tmp_path / "c.yml", f"""\
http:
  tls: {{certificate: {crt}, key: {key}}}
  headers:
    Strict-Transport-Security: [max-age=63072000]
  listeners:
    - addr: 127.0.0.1:0
      tls: false
    - addr: unix:{sock}
      tls: false
    - addr: 127.0.0.1:0
""")
    b = Berth(tmp_path / "b", config=file)
    try:
        secure, plain, path, second = b.urls
        assert secure.startswith("https://127.0.0.1:") and second.startswith("https://127.0.0.1:")
        assert plain.startswith("http://127.0.0.1:") and path == f"unix:{sock}"
        for url in (secure, second):
            r = requests.get(url + "/v2/", verify=str(authority.ca), timeout=20)
            assert r.status_code == 200
            assert r.headers["Strict-Transport-Security"] == "max-age=63072000"
        assert requests.get(plain + "/v2/", timeout=20).status_code == 200
        assert unix.get(sock, "/v2/").status == 200
        # The same content through each.
        body = Registry(plain).push_image("a/b", tag="t")
        got = requests.get(secure + "/v2/a/b/manifests/t", verify=str(authority.ca), timeout=20)
        assert got.content == body
        assert unix.get(sock, "/v2/a/b/manifests/t").read() == body
    finally:
        b.stop()
    assert not sock.exists()


ACTIVATE = """\
import os, sys
fds = [int(x) for x in sys.argv[1].split(",")]
high = [os.dup(fd) for fd in fds]
high = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execv(sys.argv[3], sys.argv[3:])
"""


class Activated(Berth):
    """Started as systemd would: with sockets that listen already."""

    def __init__(self, base, sockets, **kw):
        self.sockets = sockets
        super().__init__(base, **kw)

    def command(self):
        fds = ",".join(str(s.fileno()) for _, s in self.sockets)
        names = ":".join(name for name, _ in self.sockets)
        return [sys.executable, "-c", ACTIVATE, fds, names, *super().command()]

    def spawn(self):
        for _, s in self.sockets:
            os.set_inheritable(s.fileno(), True)
        popen = subprocess.Popen
        try:
            subprocess.Popen = lambda *a, **kw: popen(*a, **{**kw, "close_fds": False})
            return super().spawn()
        finally:
            subprocess.Popen = popen


def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    s = socket.socket(family)
    s.bind(address)
    s.listen(16)
    return s


def test_socket_activation(tmp_path, authority):
    crt, key = authority.issue("server")
    path = str(tmp_path / "a.sock")
    named = [("https", listening()), ("http", listening()), ("debug", listening()),
             ("plain", listening(socket.AF_UNIX, path))]
    b = Activated(tmp_path / "b", named,
                  options={"http.tls.certificate": crt, "http.tls.key": key})
    try:
        ports = [s.getsockname()[1] for _, s in named[:3]]
        assert b.urls == [f"https://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}",
                          f"unix:{path}"]
        assert b.debug_url == f"http://127.0.0.1:{ports[2]}"
        assert requests.get(b.urls[0] + "/v2/", verify=str(authority.ca),
                            timeout=20).status_code == 200
        assert requests.get(b.urls[1] + "/v2/", timeout=20).status_code == 200
        assert unix.get(path, "/v2/").status == 200
    finally:
        b.stop()
        for _, s in named:
            s.close()
    assert os.path.exists(path), "the socket is systemd's, which goes on listening"


def test_the_command_to_try_a_unix_socket(tmp_path, authority):
    """It works as it is printed, with TLS and a prefix too."""
    crt, key = authority.issue("server")
    for more, want in (({}, "http://localhost/v2/"),
                       ({"http.tls.certificate": crt, "http.tls.key": key, "http.prefix": "/p/"},
                        "https://localhost/p/v2/")):
        b = Berth(tmp_path / want[:5], addr=f"unix:{tmp_path}/a.sock", options=more)
        try:
            command = b._said("curl") or b._said("  curl")
            assert command == f"--unix-socket {tmp_path}/a.sock {want}"
            r = subprocess.run(["curl", "-sS", "-m", "20", "--cacert", authority.ca, *command.split()],
                               capture_output=True, text=True, timeout=60, check=False)
            assert r.stdout == "{}", r.stderr
        finally:
            b.stop()


def test_several_debug_sockets(tmp_path):
    """A unit with an address of each family has two sockets of one name: neither is the registry's."""
    named = [("debug", listening()), ("http", listening()), ("debug", listening())]
    b = Activated(tmp_path / "b", named)
    try:
        ports = [s.getsockname()[1] for _, s in named]
        assert b.urls == [f"http://127.0.0.1:{ports[1]}"]
        assert b.debug_url == f"http://127.0.0.1:{ports[0]}"
        for port in (ports[0], ports[2]):
            assert requests.get(f"http://127.0.0.1:{port}/livez", timeout=20).status_code == 200
            assert requests.get(f"http://127.0.0.1:{port}/v2/", timeout=20).status_code == 404
    finally:
        b.stop()
        for _, s in named:
            s.close()


@pytest.mark.parametrize("passed, said", [(0, 3), (1, 4)])
def test_sockets_that_were_not_passed(tmp_path, passed, said):
    """The number is then of a file of our own: to be said so, and not what the kernel says of it."""
    script = "for fd in 4 5 6 7 8 9; do eval \"exec $fd>&-\"; done; LISTEN_PID=$$ exec \"$@\""
    with listening() as s:
        if passed:
            script = f"exec 3<&{s.fileno()}; {script}"
        else:
            script = f"exec 3>&-; {script}"
        r = subprocess.run(["bash", "-c", script, "bash", binary(), "serve", "--http.debug.addr=",
                            f"--storage.filesystem.rootdirectory={tmp_path}/data"],
                           env={**os.environ, "LISTEN_FDS": str(passed + 1)}, text=True, timeout=60,
                           capture_output=True, pass_fds=[s.fileno()], check=False)
    assert r.returncode == 1
    assert f"LISTEN_FDS is {passed + 1}, but descriptor {said} is no listening socket" in r.stderr, r.stderr


# --- URLs ---

def start_upload(url, repo="a/b", **headers):
    r = requests.post(url + f"/v2/{repo}/blobs/uploads/", headers=headers, timeout=20)
    assert r.status_code == 202, r.text
    return r.headers["Location"]


@pytest.mark.parametrize("body, want", [
    ("http: {}", "/v2/a/b/blobs/uploads/"),
    ("http: {relativeurls: true}", "/v2/a/b/blobs/uploads/"),
    ("http: {relativeurls: false}", "http://registry.example:81/v2/a/b/blobs/uploads/"),
    ("http: {host: 'https://cdn.example/'}", "https://cdn.example/v2/a/b/blobs/uploads/"),
    ("http: {host: 'https://cdn.example', relativeurls: true}",
     "https://cdn.example/v2/a/b/blobs/uploads/"),
])
def test_locations(tmp_path, body, want):
    b = Berth(tmp_path / "b", config=config(tmp_path / "c.yml", body))
    try:
        assert start_upload(b.url, Host="registry.example:81").startswith(want)
    finally:
        b.stop()


def test_a_prefix(tmp_path):
    file = config(tmp_path / "c.yml", "http: {prefix: /reg/}")
    b = Berth(tmp_path / "b", config=file)
    try:
        assert requests.get(b.url + "/", timeout=20).status_code == 200
        assert requests.get(b.url + "/v2/", timeout=20).status_code == 404
        r = requests.get(b.url + "/reg/v2/", timeout=20)
        assert r.status_code == 200
        assert r.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        client = Registry(b.url + "/reg")
        location = start_upload(b.url + "/reg")
        assert location.startswith("/reg/v2/a/b/blobs/uploads/")
        data = b"bytes below a prefix"
        put = requests.put(b.url + location + "&digest=" + digest(data), data=data, timeout=20)
        assert put.status_code == 201
        assert put.headers["Location"] == f"/reg/v2/a/b/blobs/{digest(data)}"
        assert client.blob("a/b", digest(data)).content == data
        again = start_upload(b.url + "/reg", repo="c/d")
        assert requests.put(b.url + again + "&digest=" + digest(data), data=data,
                            timeout=20).status_code == 201
        page = client.catalog(n=1)
        assert page.headers["Link"].startswith("</reg/v2/_catalog?"), page.headers
    finally:
        b.stop()


@pytest.mark.parametrize("trusted, want", [
    ("[127.0.0.0/8]", "https://outside.example/"), ("[10.0.0.0/8]", "http://inside:5/"),
    ("[]", "http://inside:5/"),
])
def test_whose_word_counts(tmp_path, trusted, want):
    file = config(tmp_path / "c.yml",
                  f"http: {{relativeurls: false, trustedproxies: {trusted}}}")
    b = Berth(tmp_path / "b", config=file)
    try:
        told = {"Host": "inside:5", "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "outside.example", "X-Forwarded-For": "192.0.2.7"}
        assert start_upload(b.url, **told).startswith(want)
    finally:
        b.stop()
    peers = {x["peer"] for x in b.records() if x.get("msg") == "request"}
    assert ("192.0.2.7" in peers) == want.startswith("https")


def test_in_memory_leaves_nothing(tmp_path):
    file = config(tmp_path / "c.yml", "storage: inmemory")
    b = Berth(tmp_path / "b", options={"storage.filesystem.rootdirectory": None,
                                       "storage.delete.enabled": None}, config=file)
    directory = b._said("data:")
    try:
        body = Registry(b.url).push_image("a/b", tag="t")
        assert Registry(b.url).manifest("a/b", "t").content == body
        assert os.path.isdir(directory)
    finally:
        b.stop()
    assert not os.path.exists(directory)


def can_mount():
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/dev/shm"],
                          capture_output=True, timeout=20).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_in_memory_in_a_container(tmp_path):
    """Whose /dev/shm has 64 MiB: less than an image."""
    class Inside(Berth):
        def command(self):
            small = "mount -t tmpfs -o size=64m none /dev/shm && exec \"$@\""
            return ["unshare", "-m", "sh", "-c", small, "sh", *super().command()]

    file = config(tmp_path / "c.yml", "storage: inmemory")
    b = Inside(tmp_path / "b", config=file, env={"TMPDIR": str(tmp_path)}, options={
        "storage.filesystem.rootdirectory": None, "storage.delete.enabled": None})
    try:
        big = b"x" * (80 << 20)
        assert Registry(b.url).push_blob("a/b", big) == digest(big)
    finally:
        b.stop()
    assert not list(tmp_path.glob("berth-*"))


def test_in_memory_leaves_nothing_when_hurried(tmp_path):
    """A second signal ends the process at once; its memory is given back all the same."""
    file = config(tmp_path / "c.yml", "storage: inmemory")
    b = Berth(tmp_path / "b", options={"storage.filesystem.rootdirectory": None,
                                       "storage.delete.enabled": None}, config=file)
    directory = b._said("data:")
    with socket.create_connection(("127.0.0.1", b.port), 20) as s:
        s.sendall(b"POST /v2/a/b/blobs/uploads/?digest=sha256:" + b"0" * 64 +
                  b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 300000)
        wait_for(lambda: any("stage" in p or "upload" in p for p, _, f in os.walk(directory) if f),
                 what="the stage of the upload")
        b.signal(signal.SIGTERM)
        wait_for(lambda: any("draining" in x.get("msg", "") for x in b.records()))
        time.sleep(0.2)
        b.signal(signal.SIGTERM)
        assert b.process.wait(timeout=30) == 1
    assert not os.path.exists(directory)


@pytest.mark.parametrize("addr, warned", [("127.0.0.1:0", False), ("0.0.0.0:0", True)])
def test_an_open_registry_is_warned_of(tmp_path, addr, warned):
    b = Berth(tmp_path / "b", addr=addr)
    b.stop()
    found = [x for x in b.records() if "no login is configured" in x.get("msg", "")]
    assert bool(found) == warned


def families(port):
    """Of loopback, those that are served at the port."""
    def served(host):
        try:
            return requests.get(f"http://{host}:{port}/", timeout=20).status_code in (200, 404)
        except requests.ConnectionError:
            return False
    return [h for h in ("127.0.0.1", "[::1]") if served(h)]


@pytest.mark.parametrize("every", ["", "0.0.0.0", "[::]"])
def test_every_address_is_one_of_either_family(tmp_path, every):
    """As registry listens, whichever way it is written."""
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    port = free_port()
    more = f"[{{addr: '{every}:{port}'}}]"
    b = Berth(tmp_path / "b", addr=f"{every}:0", options={
        "http.listeners": more, "http.debug.addr": f"{every}:0"})
    try:
        debug = b.debug_url.rsplit(":", 1)[1]
        for at in (b.port, port, debug):
            assert families(at) == ["127.0.0.1", "[::1]"], b.urls
    finally:
        b.stop()


def test_notify_and_watchdog(tmp_path):
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(30)
        b = Berth(tmp_path / "b", env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        try:
            said = set()
            wait_for(lambda: said.add(s.recv(4096)) or {b"READY=1", b"WATCHDOG=1"} <= said,
                     what="the messages to systemd")
        finally:
            b.stop()
        s.setblocking(False)
        rest = []
        try:
            while True:
                rest.append(s.recv(4096))
        except BlockingIOError:
            pass
        assert b"STOPPING=1" in rest


def test_the_version_of_the_binary():
    r = subprocess.run([binary(), "version"], capture_output=True, text=True, timeout=20, check=True)
    assert r.stdout.startswith("berth ")
