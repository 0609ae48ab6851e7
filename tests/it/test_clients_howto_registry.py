# SPDX-License-Identifier: Apache-2.0
"""The set-ups of the well-known how-tos for registry:2, by their environment alone: plain HTTP;
HTTPS with a certificate and a key; HTTPS with htpasswd; nginx in front with TLS and passwords. Each
with docker, podman and skopeo: log in, push, pull on a clean machine, log out."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from clients import Docker, Home, require, unmount_below
from fronts import Certificates, free_ports, nginx
from images import Layout, base_extra, compress, host_arch, write_layer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the engines need root")

USER, PASSWORD = "testuser", "test password, long"
NAME = "registry.example.com"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    require("openssl")
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """A small image: `small`."""
    layout = Layout(tmp_path_factory.mktemp("image") / "layout")
    tar, _ = write_layer([], [*base_extra(host_arch()), ("data", "file", os.urandom(300_000))])
    layout.finish({"small": layout.image(host_arch(), [compress(tar)])})
    return layout.path


class Skopeo:
    """The words of skopeo for what every client can."""

    def __init__(self, path, host, layout, trust):
        self.home, self.host, self.layout, self.path = Home(path), host, layout, path
        self.trust = trust
        self.image = f"docker://{host}/team/small:1"

    def how(self, prefix=""):
        word = f"{prefix}-" if prefix else ""
        return [f"--{word}cert-dir={self.trust}"] if self.trust else [f"--{word}tls-verify=false"]

    def login(self, password, check=True):
        return self.home.run("skopeo", "login", *self.how(), "-u", USER, "--password-stdin", self.host,
                             input=password, check=check)

    def logout(self):
        self.home.run("skopeo", "logout", self.host)

    def push(self, check=True):
        return self.home.skopeo("copy", *self.how("dest"), f"oci:{self.layout}:small", self.image,
                                check=check)

    def pull(self, check=True):
        r = self.home.skopeo("copy", *self.how("src"), self.image, f"oci:{self.path}/pulled:1",
                             check=check)
        if r.returncode:
            return r
        inspected = self.home.skopeo("inspect", *self.how(), self.image).stdout
        assert json.loads(inspected)["Architecture"] == host_arch()
        return r

    def stop(self):
        pass


class Podman(Skopeo):
    def __init__(self, path, host, layout, trust):
        super().__init__(path, host, layout, trust)
        self.image = f"{host}/team/small:1"

    def login(self, password, check=True):
        return self.home.podman("login", *self.how(), "-u", USER, "--password-stdin", self.host,
                                input=password, check=check)

    def logout(self):
        self.home.podman("logout", self.host)

    def push(self, check=True):
        self.home.skopeo("copy", f"oci:{self.layout}:small", self.home.storage_reference(self.image))
        return self.home.podman("push", *self.how(), self.image, check=check)

    def pull(self, check=True):
        r = self.home.podman("pull", *self.how(), self.image, check=check)
        if r.returncode == 0:
            seen = json.loads(self.home.podman("inspect", self.image).stdout)[0]
            assert seen["Architecture"] == host_arch()
        return r

    def stop(self):
        unmount_below(self.home.path)
        unmount_below(self.home.short.name)


# The engine looks for authorities in /etc/docker and for names in /etc/hosts; it gets its own.
OTHER_ETC = """
set -e
mount --bind "$0/hosts" /etc/hosts
mkdir -p /etc/docker
mount --bind "$0/docker" /etc/docker
exec "$@"
"""


class DockerCli:
    def __init__(self, host, layout, trust):
        # Short: paths of sockets have 107 characters.
        self.directory = tempfile.TemporaryDirectory(prefix="berth.", ignore_cleanup_errors=True)
        path = Path(self.directory.name)
        wrapper = []
        if trust:
            # By a name, at ::1: Docker verifies nothing of 127.0.0.0/8.
            port = host.rsplit(":", 1)[1]
            host = f"{NAME}:{port}"
            (path / "etc").mkdir()
            (path / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 {NAME}\n")
            shutil.copytree(trust, path / "etc/docker/certs.d" / host)
            wrapper = ["unshare", "--mount", "bash", "-c", OTHER_ETC, str(path / "etc")]
        self.host, self.image = host, f"{host}/team/small:1"
        self.engine = Docker(path, wrapper)
        try:
            self.engine.start()
            home = Home(path / "skopeo")
            archive = path / "image.tar"
            home.skopeo("copy", f"oci:{layout}:small", f"docker-archive:{archive}:{self.image}")
            self.engine.run("load", "-i", archive)
        except BaseException:
            self.stop()
            raise

    def login(self, password, check=True):
        return self.engine.run("login", "-u", USER, "--password-stdin", self.host, input=password,
                               check=check)

    def logout(self):
        self.engine.run("logout", self.host)

    def push(self, check=True):
        return self.engine.run("push", self.image, check=check)

    def pull(self, check=True):
        if check:
            self.engine.run("rmi", "-f", self.image)
        r = self.engine.run("pull", self.image, check=check)
        if r.returncode == 0:
            seen = json.loads(self.engine.run("image", "inspect", self.image).stdout)[0]
            assert seen["Architecture"] == host_arch()
        return r

    def stop(self):
        self.engine.stop()
        self.directory.cleanup()


@pytest.fixture
def client_of(tmp_path, layout, certificates):
    """Makes the client of a name for host:port; with TLS it trusts the test's authority."""
    made = []

    def make(kind, host, tls, trusted=certificates):
        trust = trusted.trust_dir(tmp_path / "trust") if tls else None
        if kind == "docker":
            require("docker", "dockerd", "containerd", "skopeo")
            made.append(DockerCli(host, layout, trust))
        else:
            path = tmp_path / f"{kind}-{len(made)}"
            require(kind, "skopeo")
            made.append({"podman": Podman, "skopeo": Skopeo}[kind](path, host, layout, trust))
        return made[-1]

    yield make
    for client in made:
        client.stop()


def loopback(kind):
    if kind != "docker":
        return "127.0.0.1"
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine's loopback, and Docker verifies nothing of 127.0.0.0/8")
    return "[::1]"


# Nothing but the environment, as in a compose file. Values are YAML: a bracket needs quotes.
def howto(fresh_berth, tmp_path, address="127.0.0.1", **env):
    server = fresh_berth(
        options={"http.addr": None, "storage.filesystem.rootdirectory": None,
                 "storage.delete.enabled": None},
        env={"REGISTRY_HTTP_ADDR": f"'{address}:0'",
             "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "registry"), **env})
    return server, server.url.split("://", 1)[1]


def tls(certificates):
    return {"REGISTRY_HTTP_TLS_CERTIFICATE": str(certificates.certificate),
            "REGISTRY_HTTP_TLS_KEY": str(certificates.key)}


@pytest.fixture
def passwords(tmp_path):
    """docker run --entrypoint htpasswd httpd:2 -Bbn testuser testpassword > auth/htpasswd"""
    require("htpasswd")
    path = tmp_path / "auth/htpasswd"
    path.parent.mkdir()
    path.write_bytes(subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], check=True,
                                    capture_output=True).stdout)
    return path


REFUSED = ("unauthorized", "authentication required", "no basic auth credentials",
           "invalid username/password", "401")


def refused(r):
    text = (r.stdout + r.stderr).lower()
    assert r.returncode != 0 and any(word in text for word in REFUSED), text
    return True


def open_to_all(client_of, kind, host, tls):
    one = client_of(kind, host, tls)
    one.push()
    one.pull()


def with_login(client_of, kind, host):
    client = client_of(kind, host, True)
    assert refused(client.push(check=False))
    assert refused(client.login("wrong", check=False))
    assert refused(client.push(check=False))
    client.login(PASSWORD)
    client.push()
    client.pull()
    client.logout()
    assert refused(client.pull(check=False))
    assert refused(client.push(check=False))


KINDS = ["docker", "podman", "skopeo"]


@pytest.mark.parametrize("kind", KINDS)
def test_plain_http(fresh_berth, tmp_path, client_of, kind):
    """docker run -d -p 5000:5000 registry"""
    server, host = howto(fresh_berth, tmp_path)
    assert server.url.startswith("http://")
    open_to_all(client_of, kind, host, False)


@pytest.mark.parametrize("kind", KINDS)
def test_https(fresh_berth, tmp_path, client_of, certificates, kind):
    """-e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/domain.crt -e REGISTRY_HTTP_TLS_KEY=/certs/domain.key"""
    server, host = howto(fresh_berth, tmp_path, loopback(kind), **tls(certificates))
    assert server.url.startswith("https://")
    open_to_all(client_of, kind, host, True)


@pytest.mark.parametrize("kind", KINDS)
def test_an_authority_that_nobody_trusts(fresh_berth, tmp_path, client_of, certificates, kind):
    """The certificate counts: a client that trusts another authority does not push."""
    _, host = howto(fresh_berth, tmp_path, loopback(kind), **tls(certificates))
    client = client_of(kind, host, True, trusted=Certificates(tmp_path / "other"))
    r = client.push(check=False)
    assert r.returncode != 0
    assert "certificate" in (r.stdout + r.stderr).lower()


@pytest.mark.parametrize("kind", KINDS)
def test_htpasswd(fresh_berth, tmp_path, client_of, certificates, passwords, kind):
    """-e REGISTRY_AUTH=htpasswd -e REGISTRY_AUTH_HTPASSWD_REALM=... -e REGISTRY_AUTH_HTPASSWD_PATH=..."""
    _, host = howto(fresh_berth, tmp_path, loopback(kind), **tls(certificates), REGISTRY_AUTH="htpasswd",
                    REGISTRY_AUTH_HTPASSWD_REALM="Registry Realm",
                    REGISTRY_AUTH_HTPASSWD_PATH=str(passwords))
    with_login(client_of, kind, host)


@pytest.mark.parametrize("kind", KINDS)
def test_nginx_in_front(fresh_berth, tmp_path, client_of, certificates, passwords, kind):
    """"Authenticate proxy with nginx": TLS and passwords are nginx's, the registry has neither."""
    server, inner = howto(fresh_berth, tmp_path)
    port, = free_ports(1)
    front = nginx(tmp_path / "nginx", "nginx-basic-auth.conf", {
        "127.0.0.1:5000": inner, "listen 443 ssl": f"listen {loopback(kind)}:{port} ssl",
        "/etc/nginx/certs/registry.pem": certificates.certificate,
        "/etc/nginx/certs/registry.key": certificates.key,
        "/etc/nginx/registry.htpasswd;": f"{passwords};"}, [port], address=loopback(kind).strip("[]"))
    try:
        with_login(client_of, kind, f"127.0.0.1:{port}")
    finally:
        front.stop()
    assert server.alive()
