# SPDX-License-Identifier: Apache-2.0
"""`berth health`, the health check of a container: by URL, by configuration, over TLS and Unix
sockets, and what it says when nobody or somebody else answers."""

import os
import socket
import subprocess
import threading

import pytest
from fronts import Certificates, free_ports, require
from harness import binary


def health(*args, env=None):
    return subprocess.run([binary(), "health", *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, env={"PATH": os.environ["PATH"], **(env or {})})


def well(r):
    assert r.returncode == 0 and r.stdout == "healthy\n" and r.stderr == "", r
    return True


def unwell(r, *words):
    assert r.returncode == 1 and r.stdout == "" and r.stderr.startswith("berth: "), r
    assert all(w in r.stderr for w in words), r.stderr
    return True


def test_by_url(berth):
    well(health(berth.debug_url + "/readyz"))
    well(health(berth.url + "/v2/"))
    well(health(berth.url))
    unwell(health(berth.url + "/v2/nowhere"), "/v2/nowhere", "404")


def test_by_configuration_and_environment(berth, tmp_path):
    debug = berth.debug_url[len("http://"):]
    config = tmp_path / "config.yml"
    config.write_text(f"version: 0.1\nstorage: inmemory\nhttp:\n  debug:\n    addr: {debug}\n")
    well(health(config))
    well(health(env={"REGISTRY_CONFIGURATION_PATH": str(config)}))
    well(health(env={"REGISTRY_HTTP_DEBUG_ADDR": debug}))
    # What is listened on everywhere is asked on loopback.
    port = debug.rsplit(":", 1)[1]
    for address in (f":{port}", f"0.0.0.0:{port}"):
        well(health(env={"REGISTRY_HTTP_DEBUG_ADDR": f"'{address}'"}))
    nobody, = free_ports(1)
    unwell(health(config, env={"REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{nobody}"}), str(nobody),
           "nobody answers")
    config.write_text("version: 0.1\nhttp: [\n")
    unwell(health(config), "config.yml")
    unwell(health(tmp_path / "none.yml"), "none.yml")


def test_without_a_debug_listener(berth):
    """The registry itself is asked; one that wants a login is well."""
    env = {"REGISTRY_HTTP_DEBUG_ADDR": "''", "REGISTRY_HTTP_ADDR": berth.url[len("http://"):]}
    well(health(env=env))
    well(health(env={**env, "REGISTRY_HTTP_PREFIX": "/"}))


def test_a_registry_with_tls_and_logins(fresh_berth, tmp_path):
    require("openssl")
    certs = Certificates(tmp_path / "certs")
    (tmp_path / "htpasswd").write_text("")
    env = {"REGISTRY_HTTP_TLS_CERTIFICATE": str(certs.certificate),
           "REGISTRY_HTTP_TLS_KEY": str(certs.key), "REGISTRY_AUTH": "htpasswd",
           "REGISTRY_AUTH_HTPASSWD_REALM": "r", "REGISTRY_AUTH_HTPASSWD_PATH": str(tmp_path / "htpasswd")}
    server = fresh_berth(env=env)
    address = server.url[len("https://"):]
    well(health(env={**env, "REGISTRY_HTTP_DEBUG_ADDR": server.debug_url[len("http://"):]}))
    off = {**env, "REGISTRY_HTTP_DEBUG_ADDR": "''", "REGISTRY_HTTP_ADDR": address}
    well(health(env=off))
    server.stop()
    unwell(health(env=off), "nobody answers")
    unwell(health(f"https://{address}/v2/"), "plain HTTP only")


def test_a_login_is_no_illness(fresh_berth, tmp_path):
    (tmp_path / "htpasswd").write_text("")
    server = fresh_berth(env={"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "r",
                              "REGISTRY_AUTH_HTPASSWD_PATH": str(tmp_path / "htpasswd")})
    well(health(server.url + "/v2/"))


def test_unix_sockets(fresh_berth, tmp_path):
    path = tmp_path / "s"
    fresh_berth(addr=f"unix:{path}")
    env = {"REGISTRY_HTTP_DEBUG_ADDR": "''"}
    well(health(env={**env, "REGISTRY_HTTP_ADDR": f"unix:{path}"}))
    unwell(health(env={**env, "REGISTRY_HTTP_ADDR": f"unix:{tmp_path}/none"}), "none")
    unwell(health(env={**env, "REGISTRY_HTTP_ADDR": f"unix:{tmp_path}/{'x' * 150}"}), "xxx")


class Somebody:
    """Answers one connection with some bytes."""

    def __init__(self, answer):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.socket.settimeout(30)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/x"
        self.seen = b""
        self.release = threading.Event()
        self.thread = threading.Thread(target=self._answer, args=(answer,), daemon=True)
        self.thread.start()

    def _answer(self, answer):
        c, _ = self.socket.accept()
        with c:
            self.seen = c.recv(4096)
            if answer is None:
                self.release.wait(30)
            else:
                try:
                    for k in range(len(answer)):  # in pieces
                        c.sendall(answer[k:k + 1])
                except OSError:
                    pass  # it has read enough

    def close(self):
        self.release.set()
        self.thread.join()
        self.socket.close()


@pytest.mark.parametrize("answer, ok", [
    (b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.0 302 Found\r\n\r\n", True),
    (b"HTTP/1.1 503 No\r\n\r\n", False), (b"HTTP/1.1 500 No\r\n\r\n", False),
    (b"HTTP/1.1 199 X\r\n\r\n", False), (b"SSH-2.0-OpenSSH_9.2\r\n", False), (b"", False),
    (b"HTTP/1.1 2", False), (b"HTTP/1.1 abc\r\n\r\n", False)])
def test_who_else_answers(answer, ok):
    s = Somebody(answer)
    try:
        assert (well if ok else unwell)(health(s.url))
        assert s.seen.startswith(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert s.seen.endswith(b"\r\nConnection: close\r\n\r\n")
    finally:
        s.close()


def test_silence_is_an_answer():
    s = Somebody(None)
    try:
        unwell(health(s.url), "no answer in 5 seconds")
    finally:
        s.close()


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://:/", "http://127.0.0.1:1/a b",
                                 "http://" + "h" * 300 + "/", "http://127.0.0.1:123456789012345678/",
                                 "http://127.0.0.1/" + "p" * 600])
def test_what_is_no_url(url):
    unwell(health(url))


def test_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    port, = free_ports(1)
    unwell(health(f"http://[::1]:{port}/"), "::1")
    unwell(health("http://[::1]/"), "::1")
    # All addresses: those of IPv4 too.
    unwell(health(env={"REGISTRY_HTTP_DEBUG_ADDR": f"'[::]:{port}'"}), "127.0.0.1")


def test_too_many_words():
    r = health("a", "b")
    assert r.returncode == 2 and "one argument" in r.stderr
