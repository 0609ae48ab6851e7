# SPDX-License-Identifier: Apache-2.0
"""Logins of a running server beyond the matrix: files that change, files that are missing, the
limit on failures, tokens by certificate, and `berth htpasswd` beside Apache's tool."""

import base64
import hashlib
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest
import requests
from auth_logins import ISSUER, SERVICE, basic, bearer, config, entry, jwks, token, token_rs256
from certs import openssl
from harness import binary, wait_for
from registry_client import OCI_MANIFEST, Registry, digest, image


def tool(*args, password=b"", status=0):
    r = subprocess.run([binary(), "htpasswd", *map(str, args)], input=password,
                       capture_output=True, timeout=120)
    assert r.returncode == status, (r.returncode, r.stderr)
    return r


def ask(server, login, path="/v2/"):
    with requests.Session() as s:
        s.trust_env = False
        headers = {"Authorization": login} if login else {}
        return s.get(server.url + path, headers=headers, timeout=60)


def status(server, login, path="/v2/"):
    return ask(server, login, path).status_code


def htpasswd_server(fresh_berth, tmp_path, users, **kw):
    return fresh_berth(config=config(tmp_path / "config.yml", "auth:\n  htpasswd:\n"
                                     f"    realm: test\n    path: {users}\n"), **kw)


# --- htpasswd files ---

def test_a_changed_file_counts_within_seconds(fresh_berth, tmp_path):
    users = tmp_path / "users"
    tool("-c", "-C4", "-i", users, "ann", password=b"one\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    assert status(server, basic("ann", "one")) == 200
    tool("-C4", "-i", users, "ann", password=b"two\n")
    wait_for(lambda: status(server, basic("ann", "two")) == 200, 15, "the new password")
    wait_for(lambda: status(server, basic("ann", "one")) in (401, 429), 15,
             "the end of the old one")
    tool("-C4", "-i", users, "bob", password=b"three\n")
    wait_for(lambda: status(server, basic("bob", "three")) == 200, 15, "the new user")
    tool("-D", users, "ann")
    wait_for(lambda: status(server, basic("ann", "two")) == 401, 15, "the end of the user")
    assert status(server, basic("bob", "three")) == 200


def test_a_broken_file_is_not_taken(fresh_berth, tmp_path):
    users = tmp_path / "users"
    tool("-c", "-C4", "-i", users, "ann", password=b"one\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    users.write_text("no entry at all\n")
    for _ in range(5):
        assert status(server, basic("ann", "one")) == 200
        time.sleep(0.6)


def test_a_missing_file_is_made(fresh_berth, tmp_path):
    """As registry does: the user docker, whose password goes to the log, once."""
    users = tmp_path / "new" / "users"
    server = htpasswd_server(fresh_berth, tmp_path, users)
    said = wait_for(lambda: [r for r in server.records()
                             if r.get("user") == "docker" and "password" in r], what="the line")
    assert len(said) == 1 and said[0]["level"] == "warning"
    password = said[0]["password"]
    assert re.fullmatch("[A-Za-z0-9]{24}", password)
    assert users.stat().st_mode & 0o777 == 0o600
    assert status(server, basic("docker", password)) == 200
    assert status(server, basic("docker", "wrong")) == 401
    server.restart()
    assert status(server, basic("docker", password)) == 200
    assert len([r for r in server.records() if "password" in r]) == 1


def test_the_password_that_was_made_is_told_at_any_level(fresh_berth, tmp_path):
    """It is in no other place: with `log.level: error` nobody could ever log in."""
    server = htpasswd_server(fresh_berth, tmp_path, tmp_path / "users",
                             options={"log.level": "error"})
    said = [r for r in server.records() if r.get("user") == "docker" and "password" in r]
    assert status(server, basic("docker", said[0]["password"])) == 200


def test_failures_are_limited(fresh_berth, tmp_path):
    """Refused unseen after a burst, from there one a second; who is right is not hit."""
    users = tmp_path / "users"
    tool("-c", "-C4", "-i", users, "ann", password=b"right\n")
    tool("-C4", "-i", users, "bob", password=b"right\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    assert status(server, basic("ann", "right")) == 200
    begun = time.monotonic()
    answers = [ask(server, basic("bob", f"guess {i}")) for i in range(200)]
    taken = time.monotonic() - begun
    codes = [a.status_code for a in answers]
    assert set(codes) == {401, 429}
    assert 20 <= codes.count(401) <= 22 + taken
    limited = next(a for a in answers if a.status_code == 429)
    assert limited.headers["Retry-After"] == "1"
    assert "WWW-Authenticate" not in limited.headers
    assert limited.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert status(server, basic("ann", "right")) == 200
    assert server.metric_sum("berth_logins_total", 'result="limited"') >= 100
    wait_for(lambda: status(server, basic("bob", "right")) == 200, 30, "bob's way in")


def test_who_is_known_does_not_wait_for_others(fresh_berth, tmp_path):
    """Bad logins fill the pool of bcrypt for many seconds: who is known never stands in that queue,
    also not when the file is to be looked at."""
    users = tmp_path / "users"
    tool("-c", "-C13", "-i", users, "ann", password=b"right\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    assert status(server, basic("ann", "right")) == 200
    guesses = [threading.Thread(target=status, args=(server, basic("bob", f"guess {i}")))
               for i in range(12)]
    for guess in guesses:
        guess.start()
    # Not by the clock, which goes on while the machine does something else.
    worst, waiting = 0, len(guesses)
    while waiting:
        assert status(server, basic("ann", "right")) == 200
        before, waiting = waiting, sum(guess.is_alive() for guess in guesses)
        worst = max(worst, before - waiting)
        time.sleep(0.02)
    assert worst <= len(guesses) // 2, "it waited behind the bad logins"
    for guess in guesses:
        guess.join(timeout=60)


def test_the_same_wrong_password_costs_once(fresh_berth, tmp_path):
    """A client that repeats itself is told 401, not 429, and never reaches the limit."""
    users = tmp_path / "users"
    tool("-c", "-C4", "-i", users, "ann", password=b"right\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    assert {status(server, basic("ann", "wrong")) for _ in range(100)} == {401}


def test_unknown_users_cost_the_same(fresh_berth, tmp_path):
    """The time of an answer does not tell who exists: what uncached tries of cost 8 take of a
    processor, which is the same on a loaded machine."""
    users = tmp_path / "users"
    tool("-c", "-C8", "-i", users, "ann", password=b"right\n")

    def ticks(server):
        fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])  # utime and stime

    ratios = []
    while len(ratios) < 3 and not (ratios and 0.5 < ratios[-1] < 2):  # coarse, so the best of some
        server = htpasswd_server(fresh_berth, tmp_path, users)  # nobody has failed there
        taken = {"ann": 0, "eve": 0}
        for i in range(9):
            for name in taken:
                begun = ticks(server)
                assert status(server, basic(name, f"{name} {i}")) == 401
                taken[name] += ticks(server) - begun
        ratios.append((taken["ann"] + 0.1) / (taken["eve"] + 0.1))
    assert 0.5 < ratios[-1] < 2, ratios


# --- the tool ---

def test_what_the_tool_writes_apache_verifies(tmp_path):
    users = tmp_path / "users"
    tool("-cB", "-C", "5", users, "zoë", password="pässwörd\n".encode())
    assert users.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"zoë:\$2y\$05\$[./A-Za-z0-9]{53}\n", users.read_text())
    r = subprocess.run(["htpasswd", "-vb", users, "zoë", "pässwörd"], capture_output=True,
                       timeout=60)
    assert r.returncode == 0, r.stderr
    r = subprocess.run(["htpasswd", "-vb", users, "zoë", "other"], capture_output=True, timeout=60)
    assert r.returncode == 3


def test_what_apache_writes_the_server_takes(fresh_berth, tmp_path):
    users = tmp_path / "users"
    for i, (name, password) in enumerate([("ann", "one"), ("zoë", "pässwörd"), ("ann", "two")]):
        subprocess.run(["htpasswd", "-bBC", "5", *(["-c"] if i == 0 else []), users, name,
                        password], check=True, capture_output=True, timeout=60)
    subprocess.run(["htpasswd", "-bm", users, "old", "md5"], check=True, capture_output=True,
                   timeout=60)
    server = htpasswd_server(fresh_berth, tmp_path, users)
    assert status(server, basic("ann", "two")) == 200
    assert status(server, basic("ann", "one")) == 401
    assert status(server, basic("zoë", "pässwörd")) == 200
    assert status(server, basic("old", "md5")) == 401
    tool("-v", users, "ann", password=b"two")
    tool("-v", users, "ann", password=b"one", status=3)
    tool("-v", users, "old", password=b"md5", status=3)
    tool("-v", users, "nobody", password=b"x", status=3)


def test_the_tool_keeps_what_is_there(tmp_path):
    users = tmp_path / "users"
    users.write_text("# ours\nold:$apr1$x\nann:gone\n")
    users.chmod(0o640)
    tool("-C4", users, "ann", password=b"new\r\n")
    lines = users.read_text().splitlines()
    assert lines[:2] == ["# ours", "old:$apr1$x"] and lines[2].startswith("ann:$2y$04$")
    assert users.stat().st_mode & 0o777 == 0o640
    tool("-c", "-C4", users, "bob", password=b"new")  # -c never throws away
    assert len(users.read_text().splitlines()) == 4
    tool("-D", users, "ann")
    assert [x.split(":")[0] for x in users.read_text().splitlines()] == ["# ours", "old", "bob"]
    tool("-v", users, "bob", password=b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["users"]


def test_print_only():
    r = tool("-nB", "-C", "4", "ann", password=b"right\n")
    assert re.fullmatch(rb"ann:\$2y\$04\$[./A-Za-z0-9]{53}\n", r.stdout)


@pytest.mark.parametrize("args, password, code, words", [
    (["-b", "users", "ann", "secret"], b"", 2, b"can be read by every user"),
    (["-m", "users", "ann"], b"x", 2, b"nothing but bcrypt"),
    (["-x", "users", "ann"], b"x", 2, b"no such option"),
    (["users"], b"x", 2, b"FILE and USER"),
    (["users", "ann", "secret"], b"x", 2, b"FILE and USER"),
    (["-n", "users", "ann"], b"x", 2, b"USER and no FILE"),
    (["-cD", "users", "ann"], b"x", 2, b"one at most"),
    (["-C", "18", "users", "ann"], b"x", 2, b"4 to 17"),
    (["-C"], b"x", 2, b"4 to 17"),
    (["users", "ann"], b"", 2, b"no password"),
    (["users", "ann"], b"x", 1, b"-c makes it"),
    (["-c", "users", "ann"], b"\n", 1, b"empty"),
    (["-c", "users", "ann"], b"x" * 73, 1, b"73 bytes"),
    (["-c", "users", "ann"], b"x" * 2000, 2, b"no password"),
    (["-c", "users", "a:b"], b"x", 1, b"colon"),
    (["-n", "a:b"], b"x", 2, b"colon"),
    (["-D", "users", "ann"], b"", 1, b"users"),
    (["-v", "users", "ann"], b"x", 1, b"users"),
    (["-c", "no/such/users", "ann"], b"x", 1, b"no/such"),
])
def test_the_tool_refuses(tmp_path, args, password, code, words):
    r = subprocess.run([binary(), "htpasswd", *args], input=password, capture_output=True,
                       timeout=60, cwd=tmp_path)
    assert r.returncode == code, r.stderr
    assert words in r.stderr
    assert list(tmp_path.iterdir()) == []


def on_terminal(args, keys, cwd):
    """(status, what the terminal showed) of the tool on a terminal of its own; keys are typed one
    after the other, each when the prompt before it is there."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(binary(), [binary(), "htpasswd", *args])
    shown = b""
    prompts = 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            shown += os.read(fd, 1024)
        except OSError:
            break
        while prompts < len(keys) and len(re.findall(rb"(?:word|again): ", shown)) > prompts:
            # The echo is off a moment after the prompt.
            wait_for(lambda: not termios.tcgetattr(fd)[3] & termios.ECHO, what="the end of the echo")
            os.write(fd, keys[prompts])
            prompts += 1
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_the_prompt(tmp_path):
    """Twice, without echo, with the keys that edit a line."""
    code, shown = on_terminal(["-c", "-C4", "users", "ann"],
                              [b"wrogn\x7f\x7fng\r", b"nonsense\x15wrong\r"], tmp_path)
    assert code == 0, shown
    assert b"New password: " in shown and b"The same again: " in shown
    assert b"wro" not in shown and b"nonsense" not in shown
    tool("-v", tmp_path / "users", "ann", password=b"wrong")
    code, shown = on_terminal(["users", "ann"], [b"one\r", b"two\r"], tmp_path)
    assert code == 1 and b"not the same" in shown
    code, shown = on_terminal(["-v", "users", "ann"], [b"wrong\r"], tmp_path)
    assert code == 0 and b"again" not in shown
    for key in (b"\x03", b"\x04"):
        code, shown = on_terminal(["users", "ann"], [key], tmp_path)
        assert code == 2 and b"no password was given" in shown
    tool("-v", tmp_path / "users", "ann", password=b"wrong")


# --- tokens of a server with a certificate ---

def der_of_key(key):
    return openssl("pkey", "-in", key, "-pubout", "-outform", "DER").stdout


def libtrust(key):
    text = base64.b32encode(hashlib.sha256(der_of_key(key)).digest()[:30]).decode()
    return ":".join(text[i:i + 4] for i in range(0, 48, 4))


def thumbprint(key):
    text = openssl("rsa", "-in", key, "-noout", "-modulus").stdout.decode()
    n = bytes.fromhex(text.strip().split("=")[1])
    name = base64.urlsafe_b64encode(n).rstrip(b"=").decode()
    return base64.urlsafe_b64encode(hashlib.sha256(
        f'{{"e":"AQAB","kty":"RSA","n":"{name}"}}'.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def issuer(tmp_path):
    """(key, certificate) of a token server."""
    key, cert = tmp_path / "issuer.key", tmp_path / "issuer.crt"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
            "-days", "30", "-subj", "/CN=issuer")
    return key, cert


def token_config(tmp_path, **keys):
    lines = "".join(f"    {k}: {v}\n" for k, v in keys.items())
    return config(tmp_path / "config.yml", f"auth:\n  token:\n    service: {SERVICE}\n"
                  f"    issuer: {ISSUER}\n{lines}")


def test_tokens_by_certificate(fresh_berth, tmp_path, issuer):
    """Both forms of kid, and the certificate itself; the tokens of registry 2.8 and of 3."""
    key, cert = issuer
    server = fresh_berth(config=token_config(tmp_path, realm="https://a/t", rootcertbundle=cert))
    der = openssl("x509", "-in", cert, "-outform", "DER").stdout
    catalog = entry("catalog", "*", kind="registry")
    for header in ({"kid": libtrust(key)}, {"kid": thumbprint(key)}, {},
                   {"x5c": [base64.b64encode(der).decode()]}):
        for more in ({}, {"aud": ["x", SERVICE]}, {"exp": time.time() + 60.5}):
            login = bearer(token_rs256(key, header, catalog, **more))
            assert status(server, login, "/v2/_catalog") == 200, (header, more)
            assert status(server, login, "/v2/a/tags/list") == 401
    login = bearer(token_rs256(key, {"kid": "AAAA:BBBB"}, catalog))
    answer = ask(server, login, "/v2/_catalog")
    assert answer.status_code == 401
    assert "AAAA:BBBB" in answer.json()["errors"][0]["detail"]
    # The secret of another server is no key here, and the certificate is no secret.
    assert status(server, bearer(token(catalog)), "/v2/_catalog") == 401


def test_autoredirect(fresh_berth, tmp_path):
    keys = jwks(tmp_path / "jwks.json")
    server = fresh_berth(config=token_config(tmp_path, realm="https://unused/", jwks=keys,
                                             autoredirect="true"))
    # The scheme is https unless a proxy says otherwise, as in registry 3.
    for proto, scheme in ((None, "https"), ("https", "https"), ("http", "http"),
                          ("http, https", "http"), ("gopher", "https")):
        headers = {"Host": "reg.example:444", **({"X-Forwarded-Proto": proto} if proto else {})}
        with requests.Session() as s:
            s.trust_env = False
            r = s.get(server.url + "/v2/", headers=headers, timeout=60)
        assert r.headers["WWW-Authenticate"] == (
            f'Bearer realm="{scheme}://reg.example:444/auth/token",service="{SERVICE}"')


def test_signing_algorithms(fresh_berth, tmp_path, issuer):
    key, cert = issuer
    keys = jwks(tmp_path / "jwks.json")
    server = fresh_berth(config=token_config(tmp_path, realm="https://a/t", jwks=keys,
                                             rootcertbundle=cert, signingalgorithms="[RS256]"))
    catalog = entry("catalog", "*", kind="registry")
    assert status(server, bearer(token_rs256(key, {}, catalog)), "/v2/_catalog") == 200
    assert status(server, bearer(token(catalog)), "/v2/_catalog") == 401


def test_new_keys_count_within_seconds(fresh_berth, tmp_path, issuer):
    """The JWKS of the token server may be renewed under a running registry."""
    keys = jwks(tmp_path / "jwks.json")
    server = fresh_berth(config=token_config(tmp_path, realm="https://a/t", jwks=keys,
                                             rootcertbundle=issuer[1]))
    login = bearer(token(entry("catalog", "*", kind="registry")))
    assert status(server, login, "/v2/_catalog") == 200
    keys.write_text('{"keys":[]}')
    wait_for(lambda: status(server, login, "/v2/_catalog") == 401, 15, "the end of the key")
    keys.unlink()
    jwks(keys)
    wait_for(lambda: status(server, login, "/v2/_catalog") == 200, 15, "the key again")


@pytest.mark.parametrize("keys, words", [
    ({"realm": "r", "jwks": "/no/such/file"}, "/no/such/file"),
    ({"realm": "r"}, "rootcertbundle"),
])
def test_a_server_without_keys_does_not_start(fresh_berth, tmp_path, keys, words):
    server = fresh_berth(config=token_config(tmp_path, **keys), start=False)
    server.spawn()
    assert server.wait() != 0
    server.process = None
    assert words in server.log()


# --- docker, podman and skopeo log in with the files that people have ---

@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_login(fresh_berth, tmp_path):
    users = tmp_path / "users"
    tool("-c", "-C4", "-i", users, "ann", password=b"right\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    auth = tmp_path / "auth.json"

    def login(password):
        return subprocess.run(["skopeo", "login", "--tls-verify=false", "--authfile", auth, "-u",
                               "ann", "--password-stdin", f"127.0.0.1:{server.port}"],
                              input=password, capture_output=True, timeout=60).returncode

    assert login(b"wrong") != 0
    assert login(b"right") == 0


def test_reload_keeps_serving(fresh_berth, tmp_path):
    """SIGHUP replaces the authenticator under requests."""
    users = tmp_path / "users"
    tool("-c", "-C4", "-i", users, "ann", password=b"right\n")
    server = htpasswd_server(fresh_berth, tmp_path, users)
    for i in range(20):
        if i % 5 == 0:
            server.signal(signal.SIGHUP)
        assert status(server, basic("ann", "right")) == 200


# --- a registry that is read-only ---

def test_read_only_changes_nothing(fresh_berth):
    """Reads go on, every change is refused, and nothing is written: also not by the HEAD of a blob
    that somebody might be about to push again, which keeps it for him elsewhere."""
    loose = b"nothing refers to this " * 500
    server = fresh_berth()
    path = server.data / "berth.db"
    Registry(server.url).push_image("a/b", tag="t")
    Registry(server.url).push_blob("a/b", loose)

    def lease():
        with sqlite3.connect(path) as db:
            return db.execute("SELECT max(lease_ms) FROM repo_blobs").fetchone()[0]

    server.stop()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE repo_blobs SET lease_ms = 1")
    server.options["storage.maintenance.readonly"] = "{enabled: true}"
    server.start()
    registry = Registry(server.url)
    blob, manifest = f"/v2/a/b/blobs/{digest(loose)}", "/v2/a/b/manifests/t"
    for each in (blob, manifest, "/v2/a/b/tags/list", "/v2/_catalog"):
        assert registry.get(each).status_code == 200
        assert registry.head(each).status_code == 200
    for method, each in (("POST", "/v2/a/b/blobs/uploads/"), ("DELETE", blob), ("DELETE", manifest),
                         ("POST", f"/v2/a/c/blobs/uploads/?mount={digest(loose)}&from=a/b")):
        assert registry.request(method, each).status_code == 405
    r = registry.put(manifest, data=image(), headers={"Content-Type": OCI_MANIFEST})
    assert r.status_code == 405
    server.stop()
    assert lease() == 1
    del server.options["storage.maintenance.readonly"]
    server.start()
    registry = Registry(server.url)
    assert registry.head(blob).status_code == 200
    assert registry.get("/v2/_catalog").json()["repositories"] == ["a/b"]
    server.stop()
    assert lease() > 1
