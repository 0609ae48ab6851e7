# SPDX-License-Identifier: Apache-2.0
"""A small registry client: each method is one request, and returns the response as it came. The
helpers `push_*` do whole pushes and check every answer. Nothing follows a redirect."""

import hashlib
import http.client
import json
import re
import socket
from urllib.parse import quote, urlsplit

import requests

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCTETS = "application/octet-stream"
EMPTY_BLOB = b"{}"

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def digest(data, alg="sha256"):
    return f"{alg}:{hashlib.new(alg, data).hexdigest()}"


def dumps(document):
    return json.dumps(document, separators=(",", ":")).encode()


def descriptor(data, media_type, alg="sha256", **more):
    return {"mediaType": media_type, "digest": digest(data, alg), "size": len(data), **more}


def image(config=b"{}", layers=(), media_type=OCI_MANIFEST, config_type=None, layer_type=None,
          alg="sha256", **more):
    docker = media_type == DOCKER_MANIFEST
    return dumps({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor(config, config_type or (DOCKER_CONFIG if docker else OCI_CONFIG), alg),
        "layers": [descriptor(x, layer_type or (DOCKER_LAYER if docker else OCI_LAYER), alg)
                   for x in layers],
        **more,
    })


def index(manifests, media_type=OCI_INDEX, child_type=OCI_MANIFEST, alg="sha256", **more):
    return dumps({
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [m if isinstance(m, dict) else descriptor(m, child_type, alg)
                      for m in manifests],
        **more,
    })


def closing(location, dgst):
    """The URL that closes a session: clients add the digest to whatever query the location has."""
    return f"{location}{'&' if '?' in location else '?'}digest={quote(dgst, safe='')}"


def chunked(data, size=65536):
    """A body that requests sends with Transfer-Encoding: chunked and without a length."""
    def pieces():
        for at in range(0, len(data), size):
            yield data[at:at + size]
    return pieces()


def error_of(response, status, code):
    """Checks that it is an error in the OCI form with a detail that helps; returns the entry."""
    assert response.status_code == status, (response.status_code, response.text[:500])
    assert response.headers["Content-Type"].split(";")[0] == "application/json"
    body = response.json()
    assert list(body) == ["errors"] and len(body["errors"]) >= 1, body
    entry = body["errors"][0]
    assert entry["code"] == code, entry
    assert entry["message"]
    assert entry.get("detail"), f"an empty detail helps nobody: {entry}"
    assert response.headers.get("X-Request-Id")
    return entry


class Registry:
    def __init__(self, url):
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))

    def request(self, method, path, **kw):
        kw.setdefault("timeout", 60)
        kw.setdefault("allow_redirects", False)
        url = path if path.startswith("http://") else self.url + path
        return self.session.request(method, url, **kw)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def head(self, path, **kw):
        return self.request("HEAD", path, **kw)

    def put(self, path, **kw):
        return self.request("PUT", path, **kw)

    def post(self, path, **kw):
        return self.request("POST", path, **kw)

    def patch(self, path, **kw):
        return self.request("PATCH", path, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    # --- blobs ---

    def blob(self, repo, dgst, method="GET", **kw):
        return self.request(method, f"/v2/{repo}/blobs/{dgst}", **kw)

    def start(self, repo, query=""):
        """A new session; its location."""
        r = self.post(f"/v2/{repo}/blobs/uploads/{query}")
        assert r.status_code == 202, (r.status_code, r.text)
        return r.headers["Location"]

    def append(self, location, data, start=None, **kw):
        headers = {"Content-Type": OCTETS, **kw.pop("headers", {})}
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(data) - 1}"
        return self.patch(location, data=data, headers=headers, **kw)

    def finish(self, location, dgst, data=b"", start=None, **kw):
        headers = {"Content-Type": OCTETS, **kw.pop("headers", {})}
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(data) - 1}"
        return self.put(closing(location, dgst), data=data, headers=headers, **kw)

    def push_blob(self, repo, data, alg="sha256"):
        dgst = digest(data, alg)
        r = self.finish(self.start(repo), dgst, data)
        assert r.status_code == 201, (r.status_code, r.text)
        assert r.headers["Docker-Content-Digest"] == dgst
        return dgst

    # --- manifests ---

    def manifest(self, repo, ref, method="GET", **kw):
        return self.request(method, f"/v2/{repo}/manifests/{ref}", **kw)

    def put_manifest(self, repo, ref, body, media_type=OCI_MANIFEST, query="", **kw):
        headers = {"Content-Type": media_type, **kw.pop("headers", {})}
        if media_type is None:
            headers.pop("Content-Type")
        return self.put(f"/v2/{repo}/manifests/{ref}{query}", data=body, headers=headers, **kw)

    def push_manifest(self, repo, ref, body, media_type=OCI_MANIFEST, alg="sha256"):
        r = self.put_manifest(repo, ref, body, media_type)
        assert r.status_code == 201, (r.status_code, r.text)
        assert r.headers["Docker-Content-Digest"] == digest(body, alg)
        return digest(body, alg)

    def push_image(self, repo, tag, config=b"{}", layers=(b"layer",), alg="sha256", **more):
        """Blobs and manifest; the manifest's bytes."""
        for data in (config, *layers):
            self.push_blob(repo, data, alg)
        body = image(config, layers, alg=alg, **more)
        ref = tag or digest(body, alg)
        self.push_manifest(repo, ref, body, alg=alg if not tag else "sha256")
        return body

    # --- lists ---

    def tags(self, repo, **params):
        return self.get(f"/v2/{repo}/tags/list", params=params)

    def catalog(self, **params):
        return self.get("/v2/_catalog", params=params)

    def referrers(self, repo, dgst, **params):
        return self.get(f"/v2/{repo}/referrers/{dgst}", params=params)


class _Stream:
    """What http.client reads a response from: it may read ahead, the next response goes on there,
    and the end of a response closes nothing."""

    def __init__(self, sock):
        self.file = sock.makefile("rb")

    def makefile(self, _mode):
        return self

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        return None


class Raw:
    """A connection whose bytes the test writes itself."""

    def __init__(self, url_or_address, timeout=30):
        address = url_or_address
        if isinstance(address, str):
            parts = urlsplit(address)
            address = (parts.hostname, parts.port)
        self.sock = socket.create_connection(address, timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = _Stream(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, method, target, headers=(), body=b"", host="localhost"):
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        head += [f"{k}: {v}" for k, v in dict(headers).items()]
        self.send("\r\n".join(head) + "\r\n\r\n")
        if body:
            self.send(body)

    def response(self, method="GET"):
        """(status, headers, body), or None when the server closed without a word."""
        r = http.client.HTTPResponse(self.stream, method=method)
        try:
            r.begin()
        except (http.client.RemoteDisconnected, ConnectionResetError):
            return None
        return r.status, r.headers, r.read()

    def closed(self):
        """Does the server close now?"""
        try:
            return self.stream.file.read(1) == b""
        except ConnectionResetError:
            return True

    def abort(self):
        """Closes with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        self.stream.file.close()
        self.sock.close()


def raw(url, method, target, headers=(), body=b"", expect_method=None):
    """One request on a connection of its own, its target sent as it is."""
    with Raw(url) as c:
        c.request(method, target, headers, body)
        return c.response(expect_method or method)
