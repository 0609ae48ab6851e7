# SPDX-License-Identifier: Apache-2.0
"""berth behind Debian's nginx, HAProxy and Caddy, each with its sample of docs/examples: what a
client sees has to be as without them, and berth has to see the client."""

import os
import re
import subprocess

import pytest
from clients import EXACTLY, Home
from clients import require as require_clients
from fronts import Certificates, Client, caddy, free_ports, haproxy, nginx, require
from images import debian_layout, read_layout
from registry_client import chunked, digest

UPSTREAM = "127.0.0.1:5000"
USER, PASSWORD = "otto", "correct horse"
# The proxies speak from 127.0.0.1: berth believes what they say, and nobody else here.
TRUST = {"REGISTRY_HTTP_TRUSTEDPROXIES": "[127.0.0.1]"}
CLIENT = "127.0.0.9"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    require("openssl")
    return Certificates(tmp_path_factory.mktemp("certificates"))


class Site:
    """A front, the berth behind it, and where clients find them."""

    def __init__(self, berth, front, url, certificates=None, auth=None, path=None):
        self.berth, self.front, self.url, self.auth, self.path = berth, front, url, auth, path
        self.ca = certificates.ca if certificates and url.startswith("https") else None

    def client(self, **kw):
        return Client(self.url, ca=self.ca, **{"auth": self.auth, **kw})


@pytest.fixture
def site(fresh_berth, tmp_path, certificates):
    fronts = []

    def make(kind, options=None):
        port, plain = free_ports(2)
        path = tmp_path / "front"
        tls = {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
               "/etc/nginx/certs/registry.pem": certificates.certificate,
               "/etc/nginx/certs/registry.key": certificates.key}
        name = "localhost" if kind == "caddy" else "127.0.0.1"
        https, http = f"https://{name}:{port}", f"http://{name}:{plain}"
        auth = None
        if kind == "haproxy-proxy-protocol":
            inner, = free_ports(1)
            server = fresh_berth(options=options, env={
                **TRUST, "REGISTRY_HTTP_TLS_CERTIFICATE": str(certificates.certificate),
                "REGISTRY_HTTP_TLS_KEY": str(certificates.key),
                "REGISTRY_HTTP_LISTENERS": f"[{{addr: '127.0.0.1:{inner}', proxyprotocol: true}}]"})
            url = https
            front = haproxy(path, "haproxy-proxy-protocol.cfg",
                            {":443": f"127.0.0.1:{port}", "server berth 127.0.0.1:5443":
                             f"server berth 127.0.0.1:{inner}"}, [port])
        else:
            server = fresh_berth(options=options, env=TRUST)
        to = {UPSTREAM: server.url[len("http://"):]} if server.url.startswith("http://") else {}
        if kind in ("nginx-http", "nginx-https"):
            url = http if kind == "nginx-http" else https
            front = nginx(path, "nginx.conf",
                          {**to, **tls, "listen 80": f"listen 127.0.0.1:{plain}"}, [port, plain])
        elif kind == "nginx-basic-auth":
            url, auth = https, (USER, PASSWORD)
            users = tmp_path / "registry.htpasswd"
            require("htpasswd")
            users.write_bytes(subprocess.run(["htpasswd", "-Bbn", "-C", "5", USER, PASSWORD],
                                             check=True, capture_output=True).stdout)
            # The original's way: the passwords are nginx's, berth has none.
            front = nginx(path, "nginx-basic-auth.conf",
                          {**to, **tls, "/etc/nginx/registry.htpasswd;": f"{users};"}, [port])
        elif kind == "nginx-prefix":
            url = http
            front = nginx(path, "nginx-prefix.conf", {**to, "listen 80": f"listen 127.0.0.1:{plain}"},
                          [plain])
        elif kind in ("haproxy-http", "haproxy-https"):
            url = http if kind == "haproxy-http" else https
            front = haproxy(path, "haproxy.cfg",
                            {**to, "bind :443": f"bind 127.0.0.1:{port}",
                             "bind :80": f"bind 127.0.0.1:{plain}",
                             "/etc/haproxy/certs/registry.pem": certificates.both}, [port, plain])
        elif kind == "caddy":
            url = https
            front = caddy(path, {**to, "registry.example.com": https,
                                 "/etc/caddy/certs/registry.pem": certificates.certificate,
                                 "/etc/caddy/certs/registry.key": certificates.key}, [port])
        fronts.append(front)
        return Site(server, front, url, certificates, auth, path)

    yield make
    for front in fronts:
        front.stop()


KINDS = ["nginx-http", "nginx-https", "nginx-basic-auth", "haproxy-http", "haproxy-https",
         "haproxy-proxy-protocol", "caddy"]


def origin(url):
    return re.match(r"https?://[^/]+", url).group(0)


@pytest.mark.parametrize("relative", [None, "false"])
@pytest.mark.parametrize("kind", KINDS)
def test_push_and_pull(site, kind, relative):
    """Every way to upload; each Location leads back through the front."""
    s = site(kind, {"http.relativeurls": relative})
    c = s.client()
    assert c.get("/v2/").status_code == 200
    first, second, third = os.urandom(3_000_000), os.urandom(70_000), os.urandom(400_000)
    # One PUT; a streamed PATCH without a length; PATCH by PATCH.
    seen = [c.start("a/b")]
    assert c.finish(seen[0], digest(first), first).status_code == 201
    seen.append(c.start("a/b"))
    r = c.append(seen[1], chunked(third, 10_000))
    assert r.status_code == 202, r.text
    seen.append(r.headers["Location"])
    r = c.finish(seen[-1], digest(third))
    assert r.status_code == 201, r.text
    seen.append(r.headers["Location"])
    location, at = c.start("a/b"), 0
    while at < len(second):
        r = c.append(location, second[at:at + 25_000], start=at)
        assert r.status_code == 202, r.text
        location, at = r.headers["Location"], at + 25_000
        seen.append(location)
    assert c.finish(location, digest(second)).status_code == 201
    for location in seen:
        if relative == "false":
            assert origin(location) == s.url
        else:
            assert location.startswith("/v2/a/b/blobs/")
    for data in (first, second, third):
        r = c.blob("a/b", digest(data))
        assert r.content == data and r.headers["Content-Length"] == str(len(data))
    r = c.blob("a/b", digest(first), headers={"Range": "bytes=1000-1999"})
    assert r.status_code == 206 and r.content == first[1000:2000]
    assert c.blob("a/b", digest(first), method="HEAD").headers["Content-Length"] == "3000000"
    body = c.push_image("a/b", "1", layers=(first, second))
    r = c.manifest("a/b", "1")
    assert r.content == body and r.headers["Docker-Content-Digest"] == digest(body)
    assert c.tags("a/b").json() == {"name": "a/b", "tags": ["1"]}
    assert c.delete("/v2/a/b/manifests/1").status_code == 202


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_push_goes_straight_through(site, kind, tmp_path):
    """200 MB that are never whole in the front, nor on its disk; and back."""
    s = site(kind)
    c = s.client()
    piece = os.urandom(1 << 20)
    size = 200
    import hashlib
    h = hashlib.sha256()
    for _ in range(size):
        h.update(piece)
    dgst = "sha256:" + h.hexdigest()
    stored = []

    def pieces():
        for k in range(size):
            if k == size - 20:  # most of it has to be with berth by now
                stored.append(sum(p.stat().st_size for p in (s.berth.data / "uploads").iterdir()))
            yield piece

    location = c.start("big/one")
    r = c.append(location, pieces(), timeout=300)
    assert r.status_code == 202, r.text
    assert stored[0] > 100 << 20, "the front keeps the body"
    r = c.finish(r.headers["Location"], dgst, timeout=300)
    assert r.status_code == 201, r.text
    with c.blob("big/one", dgst, stream=True, timeout=300) as r:
        back = hashlib.sha256()
        for data in r.iter_content(1 << 20):
            back.update(data)
    assert back.hexdigest() == h.hexdigest()
    if kind.startswith("nginx"):
        assert "buffered to a temporary file" not in s.front.log()


@pytest.mark.parametrize("kind", KINDS)
def test_berth_sees_the_client(site, kind):
    """The address in the access log is the client's, whatever the client says it were."""
    s = site(kind, {"log.accesslog.formatter": "combined"})
    c = s.client(source=CLIENT)
    assert c.get("/v2/", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 200
    s.berth.stop()
    lines = [line for line in s.berth.log().splitlines() if '"GET /v2/ HTTP' in line]
    mine = [line for line in lines if line.startswith(CLIENT + " ")]
    assert len(mine) == 1, lines
    assert not any(line.startswith("198.51.100.7") for line in lines)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "haproxy-proxy-protocol"])
def test_what_a_client_makes_up_goes_no_further(site, kind):
    """berth believes the front, so the front has to say everything itself."""
    s = site(kind, {"http.relativeurls": "false"})
    for made_up in ({"Forwarded": "for=198.51.100.7;host=evil.example;proto=ftp"},
                    {"Forwarded": "proto=" + ("http" if s.ca else "https")},
                    {"X-Forwarded-Host": "evil.example"}, {"X-Forwarded-Port": "1"},
                    {"X-Forwarded-Proto": "http" if s.ca else "https"}):
        r = s.client().post("/v2/a/b/blobs/uploads/", headers=made_up)
        assert r.status_code == 202 and origin(r.headers["Location"]) == s.url, (made_up, r.headers)


def test_who_is_not_trusted_says_nothing(fresh_berth):
    """Forwarding headers of anybody else are ignored."""
    server = fresh_berth(options={"http.relativeurls": "false"}, env=TRUST)
    stranger = Client(server.url, source=CLIENT)
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "198.51.100.7"}
    r = stranger.post("/v2/a/b/blobs/uploads/", headers=said)
    assert origin(r.headers["Location"]) == server.url
    friend = Client(server.url)
    r = friend.post("/v2/a/b/blobs/uploads/", headers=said)
    assert origin(r.headers["Location"]) == "https://evil.example"


def test_nginx_asks_for_the_password(site):
    s = site("nginx-basic-auth")
    for auth in (None, (USER, "wrong"), ("nobody", PASSWORD)):
        r = s.client(auth=auth).get("/v2/")
        assert r.status_code == 401
        assert r.headers["WWW-Authenticate"] == 'Basic realm="berth"'
        assert r.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    r = s.client().get("/v2/")
    assert r.status_code == 200
    assert r.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    # Nothing but the API is behind it.
    assert s.client().get("/metrics").status_code == 404


@pytest.mark.parametrize("relative", [None, "false"])
def test_prefix(site, relative):
    s = site("nginx-prefix", {"http.prefix": "/registry/", "http.relativeurls": relative})
    data = os.urandom(200_000)
    deep = Client(s.url + "/registry")
    location = deep.start("a/b")
    want = f"{s.url}/registry/v2/a/b/" if relative else "/registry/v2/a/b/"
    assert location.startswith(want), location
    outside = Client(s.url)  # the address is from the top of the host
    assert outside.finish(location, digest(data), data).status_code == 201
    assert deep.blob("a/b", digest(data)).content == data
    # Docker's place: the top.
    location = outside.start("a/b")
    assert location.startswith("/v2/a/b/") or location.startswith(f"{s.url}/v2/a/b/"), location
    assert outside.finish(location, digest(data), data).status_code == 201
    outside.push_image("a/b", "1", layers=(data,))
    assert outside.tags("a/b").json()["tags"] == ["1"]
    assert deep.tags("a/b").json()["tags"] == ["1"]
    assert outside.get("/registry/v2/").status_code == 200
    assert outside.get("/elsewhere/v2/").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_skopeo_through_it(site, kind, tmp_path, certificates):
    require_clients("skopeo")
    s = site(kind)
    layout = debian_layout()
    host = s.url.split("://", 1)[1]
    home, other = Home(tmp_path / "one"), Home(tmp_path / "two")
    trust = certificates.trust_dir(tmp_path / "trust")
    how = [f"--cert-dir={trust}"] if s.ca else ["--tls-verify=false"]

    def to(prefix):
        return [w.replace("--", f"--{prefix}-", 1) for w in how]

    target = f"docker://{host}/team/debian:12"
    if s.auth:
        r = home.skopeo("copy", *to("dest"), f"oci:{layout}:debian", target, check=False)
        assert r.returncode != 0 and "unauthorized" in r.stderr.lower() or "authentication" in r.stderr
        r = home.run("skopeo", "login", *how, "-u", USER, "--password-stdin", host, input="wrong",
                     check=False)
        assert r.returncode != 0
        for h in (home, other):
            h.run("skopeo", "login", *how, "-u", USER, "--password-stdin", host, input=PASSWORD)
    home.skopeo("copy", EXACTLY, *to("dest"), f"oci:{layout}:debian", target)
    other.skopeo("copy", *to("src"), target, f"oci:{tmp_path}/pulled:12")
    assert read_layout(tmp_path / "pulled", "12") == read_layout(layout, "debian") or \
        read_layout(tmp_path / "pulled", "12")[1] == read_layout(layout, "debian")[1]
    if s.auth:
        other.run("skopeo", "logout", host)
        r = other.skopeo("inspect", *how, target, check=False)
        assert r.returncode != 0
