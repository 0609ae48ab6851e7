# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and changed files: checked first, swapped at once, the old kept on an error."""

import base64
import itertools
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests
from certs import Authority, brief
from harness import Berth, binary, has_faults, wait_for
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


def test_tls_is_not_switched_on_by_a_reload(server, tmp_path):
    """Listeners keep what they speak; that is said, and what else changed counts."""
    crt, key = Authority(tmp_path / "ca").issue("server")
    tls = f"  tls: {{certificate: {crt}, key: {key}}}\n"
    server.reload(text(site="two").replace("http:\n", "http:\n" + tls))
    wait_for(lambda: any("switching TLS on" in x.get("key", "")
                         for x in server.said("at the next start")))
    assert Registry(server.url).get("/v2/").headers["X-Site"] == "two"


def test_many_reloads_during_requests(server):
    r = Registry(server.url)
    body = r.push_image("a/b", tag="t")
    for i in range(30):
        server.file.write_text(text(site=f"s{i}"))
        server.signal(signal.SIGHUP)
        got = r.get("/v2/a/b/manifests/t")
        assert got.status_code == 200 and got.content == body
    server.reload(text(site="last"))
    # One that ran already may have been the one that was waited for.
    wait_for(lambda: r.get("/v2/").headers["X-Site"] == "last", what="the last reload")


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


def test_a_certificate_that_nobody_replaces(tmp_path):
    """A server runs for longer than a certificate lives: it is warned of when its time is over, and
    not only at the next start."""
    crt, key = brief(tmp_path / "c", since=3600, left=2)
    b = Berth(tmp_path / "b", options={"http.tls.certificate": crt, "http.tls.key": key})

    def problems():
        return [r["problem"] for r in b.records() if "needs attention" in r.get("msg", "")]

    try:
        wait_for(lambda: any("has expired on" in p for p in problems()), what="the warning")
        assert sum("has expired on" in p for p in problems()) == 1
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


def login_server(tmp_path, more="", **kw):
    users = tmp_path / "users"
    users.touch()
    htpasswd(users, "ann", "right")
    auth = f"auth:\n  htpasswd:\n    realm: r\n    path: {users}\n"
    return Server(tmp_path, text(more=auth + more), **kw), users


def answer(server, user, password):
    return requests.get(server.url + "/v2/", headers=basic(user, password), timeout=20).status_code


def test_a_reload_without_the_password_file(tmp_path):
    """It makes no new one: that would lock out everybody who has a password."""
    b, users = login_server(tmp_path)
    try:
        assert answer(b, "ann", "right") == 200
        users.unlink()
        b.reload(result="failed")
        assert not users.exists()
        assert answer(b, "ann", "right") == 200
        assert not [x for x in b.records() if "password" in x]
        # Nor one at another place.
        b.reload(b.file.read_text().replace(str(users), str(tmp_path / "others")), result="failed")
        assert not (tmp_path / "others").exists()
        assert answer(b, "ann", "right") == 200
    finally:
        b.stop()


@pytest.mark.parametrize("how", ["signal", "file"])
def test_what_is_known_of_logins_outlives_a_reload(tmp_path, how):
    """Nobody's password is hashed again, and nobody gets new tries."""
    b, users = login_server(tmp_path)

    def logins(result):
        return b.metric_sum("berth_logins_total", f'result="{result}"')

    try:
        assert answer(b, "ann", "right") == 200
        guesses = itertools.count()
        wait_for(lambda: answer(b, "eve", f"guess {next(guesses)}") == 429, 60,
                 what="the limit on failures")
        begun = time.monotonic()
        verified, limited = logins("ok"), logins("limited")
        if how == "signal":
            b.reload()
            b.reload(text(site="two", more=b.file.read_text()[b.file.read_text().index("auth:"):]))
            assert requests.get(b.url + "/", timeout=20).headers["X-Site"] == "two"
        else:
            before = b.reloads("ok")
            htpasswd(users, "bob", "new")
            wait_for(lambda: b.reloads("ok") > before, what="the new file")
        assert answer(b, "ann", "right") == 200
        assert logins("ok") == verified
        # A try a second comes back; a burst would be 20 at once.
        codes = [answer(b, "eve", f"after {i}") for i in range(60)]
        assert 60 - codes.count(429) <= time.monotonic() - begun + 2, codes
        assert logins("limited") > limited
    finally:
        b.stop()


def test_what_is_wrong_with_the_password_file_is_said(tmp_path):
    users = tmp_path / "users"
    users.touch()
    htpasswd(users, "ann", "right")
    users.write_text(users.read_text() + "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\neve:plain\n")
    b = Berth(tmp_path / "b", options={"auth.htpasswd.realm": "r", "auth.htpasswd.path": users})

    def said(words):
        return [x for x in b.records() if words in x.get("msg", "")]

    try:
        wait_for(lambda: said("lines of the htpasswd file are ignored"), what="the warning")
        assert [(x["ignored"], x["users"], x["level"])
                for x in said("lines of the htpasswd file are ignored")] == [(2, 1, "warning")]
        kept = users.read_text()
        users.write_text("no entry\n")
        wait_for(lambda: said("cannot be used yet"), what="the failure")
        assert answer(b, "ann", "right") == 200
        assert b.metrics()["berth_login_files_stale"] == 1
        users.write_text(kept)
        wait_for(lambda: said("can be used again"), what="the recovery")
        assert len(said("cannot be used yet")) == 1
        wait_for(lambda: len(said("lines of the htpasswd file are ignored")) == 2, what="the warning")
        wait_for(lambda: b.metrics()["berth_login_files_stale"] == 0, what="the end of it")
    finally:
        b.stop()


def test_a_reload_that_opens_the_registry_is_warned_of(tmp_path):
    b, _ = login_server(tmp_path, addr="0.0.0.0:0")
    try:
        assert not b.said("no login is configured")
        b.reload(text())
        wait_for(lambda: b.said("no login is configured"), what="the warning")
        b.reload()
        assert len(b.said("no login is configured")) == 1
    finally:
        b.stop()


def test_a_configuration_file_that_is_gone(server):
    server.file.unlink()
    server.reload(result="failed")
    assert Registry(server.url).get("/v2/").headers["X-Site"] == "one"
    server.reload(text(site="back"))
    assert Registry(server.url).get("/v2/").headers["X-Site"] == "back"


@pytest.mark.skipif(not has_faults(binary()), reason="a build without fault points")
def test_a_slow_disk_holds_up_neither_reloads_nor_metrics(tmp_path):
    """What is cleared away in the background has threads enough of its own."""
    purge = "  maintenance:\n    uploadpurging: {enabled: true, age: 1s, interval: 24h, dryrun: false}\n"
    body = text().replace("  maintenance:\n    readonly:\n      enabled: false\n", purge)
    assert purge in body
    b = Server(tmp_path, body)
    try:
        r = Registry(b.url)
        where = r.post("/v2/a/b/blobs/uploads/").headers["Location"]
        assert r.patch(where, data=b"x" * 1_000_000).status_code == 202
        b.kill9()
        staged = [p for p in b.data.rglob("*") if p.is_file() and p.stat().st_size == 1_000_000]
        assert len(staged) == 1
        (staged[0].parent / "orphan").write_bytes(b"x")
        time.sleep(1.1)
        b.env["BERTH_FAULTS"] = "stage.unlink=sleep20000+"
        b.start()
        time.sleep(0.5)
        begun = time.monotonic()
        b.reload(text(site="two"))
        assert Registry(b.url).get("/v2/").headers["X-Site"] == "two"
        assert time.monotonic() - begun < 10
        assert len(list(staged[0].parent.iterdir())) == 2, "both are still being removed"
    finally:
        b.kill9()
