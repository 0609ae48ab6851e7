# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and changed files: checked first, swapped at once, the old kept on an error."""

import base64
import signal
import socket
import ssl
import subprocess

import pytest
import requests
from certs import Authority
from harness import Berth, binary, wait_for
from registry_client import Registry, image

FILE = """\
version: 0.1
log:
  level: {level}
http:
  headers:
    X-Site: [{site}]
  debug:
    addr: 127.0.0.1:0
storage:
  delete:
    enabled: {delete}
  maintenance:
    readonly:
      enabled: {readonly}
catalog:
  maxentries: {catalog}
{more}"""


def text(level="info", site="one", delete="true", readonly="false", catalog="100", more=""):
    return FILE.format(level=level, site=site, delete=delete, readonly=readonly, catalog=catalog,
                       more=more)


class Server(Berth):
    """One whose file is rewritten; the options that the file has are not given as flags."""

    def __init__(self, base, body, options=None, **kw):
        self.file = base / "config.yml"
        self.file.write_text(body)
        none = {"storage.delete.enabled": None, "log.level": None, **(options or {})}
        super().__init__(base / "b", options=none, config=self.file, **kw)

    def reloads(self, result):
        return self.metric_sum("berth_config_reloads_total", f'result="{result}"')

    def reload(self, body=None, result="ok"):
        before = self.reloads(result)
        if body is not None:
            self.file.write_text(body)
        self.signal(signal.SIGHUP)
        wait_for(lambda: self.reloads(result) > before, what=f"a reload that is {result}")

    def said(self, text):
        return [r for r in self.records() if text in r.get("msg", "")]


@pytest.fixture
def server(tmp_path):
    b = Server(tmp_path, text())
    yield b
    b.stop()


def test_what_can_change_changes_at_once(server):
    r = Registry(server.url)
    r.push_image("a/b", tag="t")
    r.push_image("a/c", tag="t")
    assert r.get("/v2/").headers["X-Site"] == "one"
    server.reload(text(site="two", readonly="true", catalog="1", level="debug"))
    answer = r.get("/v2/")
    assert answer.headers["X-Site"] == "two"
    assert r.post("/v2/a/b/blobs/uploads/").status_code == 405
    assert r.catalog().json()["repositories"] == ["a/b"]
    server.reload(text(delete="false"))
    assert r.get("/v2/").headers["X-Site"] == "one"
    assert r.delete("/v2/a/b/manifests/t").status_code == 405
    assert r.post("/v2/a/b/blobs/uploads/").status_code == 202
    server.reload(text())
    assert r.delete("/v2/a/b/manifests/t").status_code == 202
    assert server.metrics()["berth_config_last_reload_successful"] == 1
    wait_for(lambda: {x.get("key") for x in server.said("changed by the reload")} >= {
        "http.headers", "storage.maintenance.readonly.enabled", "catalog.maxentries",
        "storage.delete.enabled"}, what="a line for each changed key")


@pytest.mark.parametrize("broken", [
    "version: 0.1\nlog: [", "version: 0.2\n", "version: 0.1\nlog: {level: loud}\n",
    "version: 0.1\nstorage: {s3: {bucket: b}}\n",
    "version: 0.1\nhttp: {tls: {certificate: /nowhere/c, key: /nowhere/k}}\n",
])
def test_a_broken_file_leaves_everything_as_it_was(server, broken):
    r = Registry(server.url)
    server.reload(broken, result="failed")
    assert server.metrics()["berth_config_last_reload_successful"] == 0
    assert r.get("/v2/").headers["X-Site"] == "one"
    wait_for(lambda: server.said("the reload failed"))
    server.reload(text(site="three"))
    assert server.metrics()["berth_config_last_reload_successful"] == 1
    assert r.get("/v2/").headers["X-Site"] == "three"


def test_what_needs_a_restart_is_said(server):
    server.reload(text(more="http2: {}\n").replace("http:\n", "http:\n  prefix: /x/\n"))
    wait_for(lambda: any(x.get("key") == "http.prefix" for x in server.said("at the next start")))
    assert Registry(server.url).get("/v2/").status_code == 200


def test_many_reloads_during_requests(server):
    r = Registry(server.url)
    body = r.push_image("a/b", tag="t")
    for i in range(30):
        server.file.write_text(text(site=f"s{i}"))
        server.signal(signal.SIGHUP)
        got = r.get("/v2/a/b/manifests/t")
        assert got.status_code == 200 and got.content == body
    server.reload(text(site="last"))
    assert r.get("/v2/").headers["X-Site"] == "last"


# --- files that change by themselves ---

def serial(port, ca):
    context = ssl.create_default_context(cafile=str(ca))
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        with context.wrap_socket(s, server_hostname="localhost") as t:
            return t.getpeercert()["serialNumber"]


def test_a_certificate_is_replaced_without_dropping_a_connection(tmp_path):
    authority = Authority(tmp_path / "ca")
    crt, key = authority.issue("server")
    b = Berth(tmp_path / "b", options={"http.tls.certificate": crt, "http.tls.key": key})
    try:
        first = serial(b.port, authority.ca)
        context = ssl.create_default_context(cafile=str(authority.ca))
        with socket.create_connection(("127.0.0.1", b.port), 20) as s, \
                context.wrap_socket(s, server_hostname="localhost") as t:
            def ask():
                t.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return t.recv(65536)

            assert ask().startswith(b"HTTP/1.1 200")
            authority.issue("server")
            wait_for(lambda: serial(b.port, authority.ca) != first, what="the new certificate")
            assert ask().startswith(b"HTTP/1.1 200")
        assert b.metric_sum("berth_config_reloads_total", 'result="ok"') >= 1
        expiry = b.metrics()["berth_tls_certificate_expiry_timestamp_seconds"]
        second = serial(b.port, authority.ca)
        # A key that does not fit: the certificate in force stays.
        (tmp_path / "other").mkdir()
        _, other = Authority(tmp_path / "other").issue("server")
        key.write_bytes(other.read_bytes())
        wait_for(lambda: b.metric_sum("berth_config_reloads_total", 'result="failed"') == 1)
        assert serial(b.port, authority.ca) == second
        authority.issue("server", days="25")
        wait_for(lambda: serial(b.port, authority.ca) != second, what="the third certificate")
        assert b.metrics()["berth_tls_certificate_expiry_timestamp_seconds"] > expiry
    finally:
        b.stop()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def htpasswd(path, user, password):
    subprocess.run([binary(), "htpasswd", "-C", "5", "-i", path, user], input=password.encode(),
                   check=True, capture_output=True, timeout=60)


def test_a_password_file_that_changes(tmp_path):
    users = tmp_path / "users"
    users.touch()
    htpasswd(users, "ann", "first")
    b = Berth(tmp_path / "b", options={"auth.htpasswd.realm": "r", "auth.htpasswd.path": users})
    try:
        def status(user, password):
            return requests.get(b.url + "/v2/", headers=basic(user, password), timeout=20).status_code

        assert status("ann", "first") == 200
        assert status("bob", "second") == 401
        htpasswd(users, "bob", "second")
        wait_for(lambda: status("bob", "second") == 200, what="the new user")
        assert status("ann", "first") == 200
        htpasswd(users, "ann", "other")
        wait_for(lambda: status("ann", "first") != 200, what="the end of the old password")
        wait_for(lambda: status("ann", "other") == 200, what="the new password")
        kept = users.read_text()
        users.unlink()
        wait_for(lambda: b.metric_sum("berth_config_reloads_total", 'result="failed"') == 1)
        assert status("bob", "second") == 200
        assert not users.exists(), "a running server makes no new passwords"
        before = b.metric_sum("berth_config_reloads_total", 'result="ok"')
        users.write_text(kept)
        wait_for(lambda: b.metric_sum("berth_config_reloads_total", 'result="ok"') > before)
        assert status("bob", "second") == 200
    finally:
        b.stop()
