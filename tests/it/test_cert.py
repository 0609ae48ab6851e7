# SPDX-License-Identifier: Apache-2.0
"""`berth cert`: what it makes satisfies OpenSSL's strictest check and a real client, what it prints
can be pasted, and what it says of a chain can be relied on by a script."""

import re
import shlex
import socket
import ssl
import subprocess
import threading

import pytest

from harness import binary

NAMES = ("registry.example.org", "*.example.org", "localhost", "127.0.0.1", "::1")


def cert(*args, cwd=None):
    return subprocess.run([binary(), "cert", *map(str, args)], capture_output=True, text=True,
                          timeout=120, cwd=cwd)


def create(where, *args):
    r = cert("create", "--dir", where, *args)
    assert r.returncode == 0, r.stderr
    assert r.stderr == ""
    return r.stdout


@pytest.fixture(scope="module", params=["ecdsa", "rsa"])
def made(request, tmp_path_factory):
    where = tmp_path_factory.mktemp(request.param)
    create(where, *NAMES, *(["--rsa"] if request.param == "rsa" else []))
    return where


@pytest.mark.parametrize("name", ["registry.example.org", "a.example.org", "127.0.0.1", "::1"])
def test_openssl_finds_nothing_wrong(made, name):
    check = "-verify_ip" if re.match(r"[\d:]", name) else "-verify_hostname"
    r = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-auth_level", "2", "-purpose",
         "sslserver", "-CAfile", made / "ca.crt", check, name, made / "server.crt"],
        capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr


def test_a_client_connects(made):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made / "server.crt", made / "server.key")
    client = ssl.create_default_context(cafile=made / "ca.crt")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            for _ in range(3):
                try:
                    with server.wrap_socket(listener.accept()[0], server_side=True) as s:
                        s.sendall(b"hello")
                except (ssl.SSLError, OSError):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = listener.getsockname()
        for name, good in (("127.0.0.1", True), ("x.example.org", True), ("example.org", False)):
            with socket.create_connection(address, timeout=20) as raw:
                if not good:
                    with pytest.raises(ssl.SSLCertVerificationError):
                        client.wrap_socket(raw, server_hostname=name)
                    continue
                with client.wrap_socket(raw, server_hostname=name) as s:
                    assert s.recv(5) == b"hello"
        thread.join(20)
        assert not thread.is_alive()


def test_keys_are_private(made):
    for name, mode in (("ca.key", 0o600), ("server.key", 0o600)):
        assert (made / name).stat().st_mode & 0o777 == mode
    assert sorted(p.name for p in made.iterdir()) == ["ca.crt", "ca.key", "server.crt", "server.key"]


def test_the_lines_can_be_pasted(tmp_path):
    where = tmp_path / "it's here"
    out = create(where, "*.example.org", "registry.example.org", "--port", "8443")
    host = "registry.example.org:8443"
    commands = [shlex.split(line) for line in out.splitlines() if line.startswith("  cp ")]
    assert [c[2] for c in commands] == [
        f"/etc/docker/certs.d/{host}/ca.crt",
        f"/etc/containerd/certs.d/{host}/ca.crt",
        f"/etc/containers/certs.d/{host}/ca.crt",
        "/usr/local/share/ca-certificates/berth-ca.crt",
        "/etc/pki/ca-trust/source/anchors/berth-ca.crt",
    ]
    assert all(c[1] == str(where / "ca.crt") for c in commands)
    assert f"/etc/containerd/certs.d/{host}/hosts.toml <<'END'\nserver = \"https://{host}\"" in out
    assert f"ca = \"/etc/containerd/certs.d/{host}/ca.crt\"\nEND\n" in out
    quoted = str(where).replace("'", "''")
    assert f"certificate: '{quoted}/server.crt'\n      key: '{quoted}/server.key'\n" in out
    # On the port that nobody writes, the directory has none; an IPv6 address has its brackets.
    out = create(tmp_path / "b", "::1", "--port=443")
    assert "cp " + str(tmp_path / "b/ca.crt") + " '/etc/docker/certs.d/[::1]/ca.crt'" in out
    out = create(tmp_path / "c", "*.example.org")
    assert "/etc/docker/certs.d/registry.example.org:5000/ca.crt" in out


def test_the_ca_is_made_once(tmp_path):
    assert "(new; " in create(tmp_path, "a.example.org")
    ca, old = (tmp_path / "ca.crt").read_bytes(), (tmp_path / "server.crt").read_bytes()
    r = cert("create", "--dir", tmp_path, "b.example.org")
    assert r.returncode == 1
    assert "server.key is there already; --force replaces it" in r.stderr
    assert (tmp_path / "server.crt").read_bytes() == old
    assert "(was there; " in create(tmp_path, "b.example.org", "--force", "--days", "30")
    assert (tmp_path / "ca.crt").read_bytes() == ca
    assert (tmp_path / "server.crt").read_bytes() != old
    r = cert("show", "--ca", tmp_path / "ca.crt", "--name=b.example.org", tmp_path / "server.crt")
    assert r.returncode == 0, r.stdout
    assert r.stdout.endswith("no problems found\n")
    assert "(29 days left)" in r.stdout
    (tmp_path / "ca.key").unlink()
    r = cert("create", "--dir", tmp_path, "c.example.org", "--force")
    assert r.returncode == 1
    assert "ca.key is not" in r.stderr


def test_by_default_the_directory_is_certs(tmp_path):
    r = cert("create", "localhost", cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    assert (tmp_path / "certs/server.crt").exists()


@pytest.mark.parametrize("options, words", [
    (["--name", "other.org"], "problem: it is not for other.org; it is for registry.example.org"),
    (["--key", "ca.key"], "does not belong to the certificate"),
    (["--ca", "server.crt"], "problem: "),
])
def test_show_finds_problems(made, options, words):
    given = ["--ca", made / "ca.crt"] if "--ca" not in options else []
    options = [made / o if (made / o).exists() and not o.startswith("-") else o for o in options]
    r = cert("show", *given, *options, made / "server.crt")
    assert r.returncode == 1
    assert words in r.stdout
    assert "no problems" not in r.stdout


def test_show_asks_the_system(made):
    r = cert("show", made / "server.crt")
    assert r.returncode == 1
    assert "neither in the file nor trusted" in r.stdout
    fingerprint = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", made / "server.crt"],
        capture_output=True, text=True, check=True, timeout=60).stdout.strip().split("=")[1]
    assert f"SHA256 {fingerprint}\n" in r.stdout
    assert "names:        registry.example.org, *.example.org, localhost, 127.0.0.1, ::1\n" in r.stdout


@pytest.mark.parametrize("args, status, words", [
    ((), 2, "create or show"),
    (("frobnicate",), 2, "there is no `berth cert frobnicate`"),
    (("create",), 2, "for which names?"),
    (("create", "--days", "826", "a.org"), 2, "--days: 1 to 825"),
    (("create", "--days"), 2, "--days needs a value"),
    (("create", "--port", "0", "a.org"), 2, "--port: 1 to 65535"),
    (("create", "--force=yes", "a.org"), 2, "there is no option --force here"),
    (("create", "--nothing", "a.org"), 2, "there is no option --nothing here"),
    (("create", "--dir", "x" * 5000, "a.org"), 2, "the path is too long"),
    (("create", "https://a.org"), 1, "is neither a host name nor an IP address"),
    (("create", "--dir", "/proc/nothing", "a.org"), 1, "/proc/nothing"),
    (("show",), 2, "one file"),
    (("show", "a", "b"), 2, "one file"),
    (("show", "--force", "a"), 2, "there is no option --force here"),
    (("show", "no/such.crt"), 1, "no/such.crt: No such file"),
])
def test_mistakes_say_what_to_do(tmp_path, args, status, words):
    r = cert(*args, cwd=tmp_path)
    assert r.returncode == status
    assert words in r.stderr
    assert r.stdout == ""
    assert not list(tmp_path.glob("*/*"))
