# SPDX-License-Identifier: Apache-2.0
"""The requests, in their order: each finds what the ones before it left. Nothing here depends on
time or chance. Ids are paths, so that docs/differences.md can name groups of them."""

import hashlib
import json

from . import tokens
from .wire import Case, with_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCTETS = "application/octet-stream"

REPO = "cmp/app"
OTHER = "cmp/other"
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
SMALL = b"a small layer\n" * 10
LARGE = bytes(range(256)) * 400  # larger than what berth keeps in its database
ABSENT = "sha256:" + "0" * 64


def digest(data, alg="sha256"):
    return f"{alg}:{hashlib.new(alg, data).hexdigest()}"


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def dumps(document):
    return json.dumps(document, separators=(",", ":")).encode()


def image(media_type=OCI_MANIFEST, layers=(SMALL,), **more):
    docker = media_type == DOCKER_MANIFEST
    return {"schemaVersion": 2, "mediaType": media_type,
            "config": descriptor(CONFIG, DOCKER_CONFIG if docker else OCI_CONFIG),
            "layers": [descriptor(x, DOCKER_LAYER if docker else OCI_LAYER) for x in layers],
            **more}


def index(children, media_type=OCI_INDEX, child_type=OCI_MANIFEST, **more):
    return {"schemaVersion": 2, "mediaType": media_type,
            "manifests": [descriptor(c, child_type,
                                     platform={"os": "linux", "architecture": "amd64"})
                          for c in children], **more}


IMAGE = dumps(image())
DOCKER_IMAGE = dumps(image(DOCKER_MANIFEST))
INDEX = dumps(index([IMAGE]))
LIST = dumps(index([DOCKER_IMAGE], DOCKER_LIST, DOCKER_MANIFEST))
STORED = {"oci-image": (IMAGE, OCI_MANIFEST), "docker-image": (DOCKER_IMAGE, DOCKER_MANIFEST),
          "oci-index": (INDEX, OCI_INDEX), "docker-list": (LIST, DOCKER_LIST)}

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FROB")
TYPED = (("Content-Type", OCTETS),)
ALL_TYPES = (("Accept", ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))),)


def body_for(method):
    return b"" if method in ("POST", "PUT", "PATCH") else None


class Script(list):
    def add(self, id_, method, path, headers=(), body=None, **more):
        if body is None:
            body = body_for(method)
        self.append(Case(id_, method, path, tuple(headers), body, **more))

    def session(self, id_, name, repo=REPO):
        self.add(id_, "POST", f"/v2/{repo}/blobs/uploads/", save=name)

    def push(self, id_, data, repo=REPO):
        self.session(f"{id_}/post", "push", repo)
        self.add(f"{id_}/put", "PUT", with_digest("push", digest(data)), TYPED, data)

    def manifest(self, id_, document, reference, media_type, repo=REPO, headers=()):
        body = document if isinstance(document, bytes) else dumps(document)
        typed = (("Content-Type", media_type),) if media_type else ()
        self.add(id_, "PUT", f"/v2/{repo}/manifests/{reference}", (*typed, *headers), body)


# --- paths, methods, names ---

def base(s):
    for path, name in (("/v2/", "v2"), ("/v2", "v2-no-slash"), ("/", "root")):
        for method in METHODS:
            s.add(f"base/{name}/{method}", method, path)
    s.add("base/query", "GET", "/v2/?x=%41")
    s.add("base/bad-query", "GET", "/v2/?x=%zz")
    s.add("base/http-host", "GET", "/v2/", [("Host", "registry.example:5000")])
    s.add("base/accept-html", "GET", "/v2/", [("Accept", "text/html")])
    s.add("base/accept-gzip", "GET", "/v2/", [("Accept-Encoding", "gzip")])
    s.add("base/authorization-ignored", "GET", "/v2/", [("Authorization", "Basic dTpw")])


def unknown_paths(s):
    for path in ("/v1/", "/v1/_ping", "/v3/", "/x", "/v2/x", "/v2/x/", "/v2/a/b", "/v2/a/b/",
                 "/v2/_catalog/", "/v2/a/b/tags", "/v2/a/b/tags/", "/v2/a/b/tags/list/",
                 "/v2/a/b/tags/lists", "/v2/a/b/blobs", "/v2/a/b/blobs/", "/v2/a/b/manifests",
                 "/v2/a/b/manifests/", "/v2/a/b/unknown/x", "/v2/a/b/referrers",
                 "/v2/tags/list", "/v2/manifests/x", "/v2/blobs/uploads/", "/V2/",
                 "/metrics", "/debug/health", "/debug/vars", "/debug/pprof/", "/robots.txt",
                 f"/v2/a/b/blobs/{ABSENT}/", f"/v2/a/b/blobs/{ABSENT}/x",
                 "/v2/a/b/manifests/x/", "/v2/a/b/manifests/x/y"):
        s.add(f"paths/unknown{path}", "GET", path)
    for path in ("//", "//v2/", "/v2//", "/v2//_catalog", "/v2/./", "/v2/../v2/", "/v2/a/../b/tags/list",
                 "/v2/a//b/tags/list", "/v2/a/./b/tags/list", "/v2/%2e%2e/x", "/v2/a%2fb/tags/list",
                 "/v2/a/b/tags/list%00", "/v2/a/b%20/tags/list", "/v2/%61/b/tags/list",
                 "/v2/a/b/tags/%6cist"):
        s.add(f"paths/odd{path}", "GET", path)


NAMES = {"one": "a", "two": "a/b", "five": "a/b/c/d/e", "dot": "a.b", "underscore": "a_b",
         "underscores": "a__b", "three-underscores": "a___b", "dash": "a-b", "dashes": "a---b",
         "dot-dash": "a.-b", "dots": "a..b", "dash-first": "-a", "dash-last": "a-",
         "dot-first": ".a", "dot-last": "a.", "upper": "A", "upper-later": "a/B", "digit": "0",
         "underscore-first": "_a", "underscore-later": "a/_b", "space": "a%20b",
         "utf8": "caf%C3%A9", "plus": "a+b", "tilde": "a~b", "colon": "a:b", "at": "a@b",
         "keyword-blobs": "blobs", "keyword-tags": "tags/list", "keyword-manifests": "a/manifests",
         "keyword-uploads": "blobs/uploads", "long-200": "a" * 200, "long-255": "a" * 255,
         "long-256": "a" * 256, "long-parts": "/".join(["abcdefgh"] * 28)}


def names(s):
    for id_, name in NAMES.items():
        s.add(f"names/{id_}/tags", "GET", f"/v2/{name}/tags/list")
        s.add(f"names/{id_}/manifest", "GET", f"/v2/{name}/manifests/latest", ALL_TYPES)
        s.add(f"names/{id_}/blob", "HEAD", f"/v2/{name}/blobs/{ABSENT}")
    for id_ in ("upper", "dots", "long-256", "dash-first"):
        s.add(f"names/{id_}/upload", "POST", f"/v2/{NAMES[id_]}/blobs/uploads/")
        s.manifest(f"names/{id_}/put", IMAGE, "x", OCI_MANIFEST, repo=NAMES[id_])


def methods(s):
    """Every method on every route, where nothing is yet."""
    for route, path in (("catalog", "/v2/_catalog"), ("tags", "/v2/no/such/tags/list"),
                        ("manifest", "/v2/no/such/manifests/x"),
                        ("manifest-digest", f"/v2/no/such/manifests/{ABSENT}"),
                        ("blob", f"/v2/no/such/blobs/{ABSENT}"),
                        ("uploads", "/v2/no/such/blobs/uploads/"),
                        ("upload", "/v2/no/such/blobs/uploads/0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"),
                        ("referrers", f"/v2/no/such/referrers/{ABSENT}")):
        for method in METHODS:
            s.add(f"methods/{route}/{method}", method, path)


# --- blobs ---

def push_blobs(s):
    for id_, data in (("config", CONFIG), ("small", SMALL), ("large", LARGE), ("empty", b"")):
        s.push(f"push/{id_}", data)
    s.push("push/again", SMALL)
    s.push("push/other-repository", CONFIG, OTHER)
    s.session("push/patch/post", "p")
    s.add("push/patch/first", "PATCH", "{p}", TYPED, LARGE[:50000], save="p")
    s.add("push/patch/status", "GET", "{p}")
    s.add("push/patch/second", "PATCH", "{p}", TYPED, LARGE[50000:], save="p")
    s.add("push/patch/put", "PUT", with_digest("p", digest(LARGE)), TYPED, b"")
    s.session("push/chunked/post", "p")
    s.add("push/chunked/patch", "PATCH", "{p}", TYPED, SMALL, chunked=True, save="p")
    s.add("push/chunked/put", "PUT", with_digest("p", digest(SMALL)), TYPED, b"", chunked=True)
    s.session("push/ranges/post", "p")
    s.add("push/ranges/first", "PATCH", "{p}", (*TYPED, ("Content-Range", "0-9")), SMALL[:10],
          save="p")
    s.add("push/ranges/second", "PATCH", "{p}",
          (*TYPED, ("Content-Range", f"10-{len(SMALL) - 1}")), SMALL[10:], save="p")
    s.add("push/ranges/put", "PUT", with_digest("p", digest(SMALL)), TYPED, b"")
    s.session("push/patch-and-body/post", "p")
    s.add("push/patch-and-body/patch", "PATCH", "{p}", TYPED, SMALL[:10], save="p")
    s.add("push/patch-and-body/put", "PUT", with_digest("p", digest(SMALL)), TYPED, SMALL[10:])


DIGESTS = {"absent": ABSENT, "short": "sha256:abcd", "upper": "sha256:" + "A" * 64,
           "not-hex": "sha256:" + "g" * 64, "long": "sha256:" + "0" * 65, "no-algorithm": "0" * 64,
           "empty-hex": "sha256:", "md5": "md5:" + "0" * 32, "sha512": "sha512:" + "0" * 128,
           "sha512-short": "sha512:" + "0" * 64, "upper-algorithm": "SHA256:" + "0" * 64,
           "word": "latest", "encoded-colon": "sha256%3A" + "0" * 64}


def read_blobs(s):
    blobs = f"/v2/{REPO}/blobs/"
    for id_, data in (("small", SMALL), ("large", LARGE), ("empty", b""), ("config", CONFIG)):
        for method in ("GET", "HEAD"):
            s.add(f"blob/{id_}/{method}", method, blobs + digest(data))
    for method in ("POST", "PUT", "PATCH", "OPTIONS"):
        s.add(f"blob/there/{method}", method, blobs + digest(SMALL))
    for id_, d in DIGESTS.items():
        for method in ("GET", "HEAD", "DELETE"):
            s.add(f"blob/digest-{id_}/{method}", method, blobs + d)
    s.add("blob/not-in-this-repository", "GET", f"/v2/{OTHER}/blobs/{digest(LARGE)}")
    s.add("blob/unknown-repository", "GET", f"/v2/no/such/blobs/{digest(LARGE)}")
    s.add("blob/sha512-of-content", "GET", blobs + digest(SMALL, "sha512"))
    s.add("blob/slash", "GET", blobs + digest(SMALL) + "/")
    s.add("blob/query", "GET", blobs + digest(SMALL) + "?ns=docker.io")
    for id_, headers in (("any", [("Accept", "*/*")]), ("json", [("Accept", "application/json")]),
                         ("gzip", [("Accept-Encoding", "gzip")]),
                         ("identity", [("Accept-Encoding", "identity;q=0")])):
        s.add(f"blob/accept-{id_}", "GET", blobs + digest(SMALL), headers)
    s.add("blob/mounted-manifest", "GET", blobs + digest(IMAGE))


RANGES = {"first": "bytes=0-0", "some": "bytes=5-20", "open": "bytes=100-", "suffix": "bytes=-7",
          "suffix-more": "bytes=-100000", "suffix-none": "bytes=-0", "end-beyond": "bytes=5-100000",
          "start-beyond": "bytes=100000-", "start-at-end": f"bytes={len(SMALL)}-",
          "backwards": "bytes=20-5", "two": "bytes=0-1,5-6", "two-overlapping": "bytes=0-9,5-19",
          "one-good-of-two": "bytes=0-1,100000-", "all": f"bytes=0-{len(SMALL) - 1}",
          "unit": "items=0-1", "no-unit": "0-1", "empty": "", "words": "bytes=a-b",
          "no-dash": "bytes=5", "dash": "bytes=-", "blanks": "bytes= 0 - 1", "upper": "BYTES=0-1",
          "huge": "bytes=0-99999999999999999999", "negative": "bytes=--1"}
ETAG = '"' + digest(SMALL) + '"'
CONDITIONS = {"quoted": [("If-None-Match", ETAG)], "bare": [("If-None-Match", digest(SMALL))],
              "weak": [("If-None-Match", "W/" + ETAG)], "star": [("If-None-Match", "*")],
              "other": [("If-None-Match", '"x"')],
              "list": [("If-None-Match", '"x", ' + ETAG)],
              "match": [("If-Match", ETAG)], "match-other": [("If-Match", '"x"')],
              "match-star": [("If-Match", "*")],
              "since": [("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")],
              "unmodified": [("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:01 GMT")],
              "if-range": [("If-Range", ETAG), ("Range", "bytes=0-1")],
              "if-range-other": [("If-Range", '"x"'), ("Range", "bytes=0-1")],
              "none-match-and-range": [("If-None-Match", ETAG), ("Range", "bytes=0-1")]}


def blob_headers(s):
    path = f"/v2/{REPO}/blobs/{digest(SMALL)}"
    for id_, value in RANGES.items():
        s.add(f"range/{id_}/GET", "GET", path, [("Range", value)])
    for id_ in ("first", "suffix", "start-beyond", "two"):
        s.add(f"range/{id_}/HEAD", "HEAD", path, [("Range", RANGES[id_])])
    s.add("range/large", "GET", f"/v2/{REPO}/blobs/{digest(LARGE)}", [("Range", "bytes=70000-80000")])
    s.add("range/of-empty", "GET", f"/v2/{REPO}/blobs/{digest(b'')}", [("Range", "bytes=0-0")])
    for id_, headers in CONDITIONS.items():
        s.add(f"condition/blob/{id_}/GET", "GET", path, headers)
    for id_ in ("quoted", "star", "match-other"):
        s.add(f"condition/blob/{id_}/HEAD", "HEAD", path, CONDITIONS[id_])


# --- uploads ---

def upload_posts(s):
    uploads = f"/v2/{REPO}/blobs/uploads/"
    s.add("post/body", "POST", uploads, TYPED, SMALL)
    s.add("post/no-slash", "POST", uploads.rstrip("/"))
    s.add("post/digest-and-body", "POST", f"{uploads}?digest={digest(SMALL)}", TYPED, SMALL)
    s.add("post/digest-and-wrong-body", "POST", f"{uploads}?digest={digest(SMALL)}", TYPED, b"x")
    s.add("post/digest-no-body", "POST", f"{uploads}?digest={digest(SMALL)}")
    s.add("post/bad-digest", "POST", f"{uploads}?digest=nope", TYPED, SMALL)
    s.add("post/unknown-parameter", "POST", f"{uploads}?x=y")
    s.add("post/form", "POST", uploads,
          [("Content-Type", "application/x-www-form-urlencoded")], b"mount=x&from=y")
    s.add("post/sha512", "POST", f"{uploads}?digest-algorithm=sha512")
    for id_, query in (("good", f"mount={digest(CONFIG)}&from={OTHER}"),
                       ("from-itself", f"mount={digest(SMALL)}&from={REPO}"),
                       ("from-unknown", f"mount={digest(SMALL)}&from=no/such"),
                       ("not-there", f"mount={digest(LARGE)}&from={OTHER}"),
                       ("unknown-blob", f"mount={ABSENT}&from={OTHER}"),
                       ("without-from", f"mount={digest(LARGE)}"),
                       ("empty-from", f"mount={digest(LARGE)}&from="),
                       ("bad-from", f"mount={digest(SMALL)}&from=BAD"),
                       ("bad-digest", f"mount=nope&from={OTHER}"),
                       ("sha512", f"mount={digest(SMALL, 'sha512')}&from={REPO}"),
                       ("encoded", f"mount={digest(CONFIG).replace(':', '%3A')}&from=cmp%2Fother")):
        s.add(f"mount/{id_}", "POST", f"/v2/cmp/mounted/blobs/uploads/?{query}")
    s.add("mount/result", "HEAD", f"/v2/cmp/mounted/blobs/{digest(CONFIG)}")


def upload_status(s):
    s.session("status/post", "u")
    for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE"):
        s.add(f"status/new/{method}", method, "{u}")
    s.add("status/patch", "PATCH", "{u}", TYPED, SMALL[:20], save="u")
    for method in ("GET", "HEAD"):
        s.add(f"status/begun/{method}", method, "{u}")
    s.add("status/cancel", "DELETE", "{u}")
    for method in ("GET", "HEAD", "PATCH", "PUT", "DELETE"):
        s.add(f"status/cancelled/{method}", method, "{u}", TYPED)
    uuid = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
    for id_, name in (("unknown", uuid), ("word", "word"), ("bad", "a%20b"), ("dots", "a..b")):
        for method in ("GET", "HEAD", "PATCH", "PUT", "DELETE"):
            s.add(f"status/id-{id_}/{method}", method, f"/v2/{REPO}/blobs/uploads/{name}", TYPED)
    s.add("status/bad-state", "GET", f"/v2/{REPO}/blobs/uploads/{uuid}?_state=nope")


def upload_patches(s):
    def fresh(id_, *requests):
        s.session(f"patch/{id_}/post", "f")
        for name, method, path, headers, body, more in requests:
            s.add(f"patch/{id_}/{name}", method, path, headers, body, **more)
        s.add(f"patch/{id_}/after", "GET", "{f}")

    def patch(headers=TYPED, body=SMALL[:10], name="patch", **more):
        return name, "PATCH", "{f}", headers, body, {"save": "f", **more}

    fresh("no-type", patch(()))
    fresh("text", patch([("Content-Type", "text/plain")]))
    fresh("form", patch([("Content-Type", "application/x-www-form-urlencoded")]))
    fresh("empty", patch(body=b""))
    fresh("chunked-empty", patch(body=b"", chunked=True))
    for id_, value in (("at-start", "0-9"), ("gap", "5-14"), ("wrong-length", "0-4"),
                       ("bytes-form", "bytes 0-9/140"), ("words", "a-b"), ("open", "0-"),
                       ("backwards", "9-0"), ("huge", "0-99999999999999999999")):
        fresh(f"content-range-{id_}", patch((*TYPED, ("Content-Range", value))))
    fresh("second-overlaps", patch(), patch((*TYPED, ("Content-Range", "5-14")), name="again"))
    fresh("second-in-order", patch(), patch((*TYPED, ("Content-Range", "10-19")), name="again"))
    s.session("patch/stale/post", "old")
    s.add("patch/stale/first", "PATCH", "{old}", TYPED, SMALL[:10], save="new")
    s.add("patch/stale/second", "PATCH", "{old}", TYPED, SMALL[10:20])
    s.add("patch/stale/after", "GET", "{new}")
    s.session("patch/other-repository/post", "o", OTHER)
    s.add("patch/expect-continue", "PATCH", "{o}", (*TYPED, ("Expect", "100-continue")), SMALL[:5],
          save="o")


def upload_puts(s):
    def put(id_, query, body=SMALL, headers=TYPED, patched=b"", after=True, **more):
        s.session(f"put/{id_}/post", "f")
        if patched:
            s.add(f"put/{id_}/patch", "PATCH", "{f}", TYPED, patched, save="f")
        s.add(f"put/{id_}/put", "PUT", "{f}" + query, headers, body, **more)
        if after:
            s.add(f"put/{id_}/after", "GET", "{f}")

    good = "&digest=" + digest(SMALL)
    put("good", good)
    put("no-digest", "")
    put("empty-digest", "&digest=")
    put("bad-digest", "&digest=nope")
    put("upper-digest", "&digest=sha256:" + "A" * 64)
    put("md5", "&digest=md5:" + "0" * 32)
    put("mismatch", "&digest=" + ABSENT)
    put("mismatch-after-patch", "&digest=" + ABSENT, b"", patched=SMALL)
    put("sha512", "&digest=" + digest(SMALL, "sha512"))
    put("sha512-mismatch", "&digest=sha512:" + "0" * 128)
    put("encoded-digest", "&digest=" + digest(SMALL).replace(":", "%3A"))
    put("twice-digest", good + good)
    put("no-type", good, headers=())
    put("text", good, headers=[("Content-Type", "text/plain")])
    put("form", good, headers=[("Content-Type", "application/x-www-form-urlencoded")])
    put("range", good, headers=(*TYPED, ("Content-Range", f"0-{len(SMALL) - 1}")))
    put("range-after-patch", good, SMALL[10:], patched=SMALL[:10],
        headers=(*TYPED, ("Content-Range", f"10-{len(SMALL) - 1}")))
    put("range-gap", good, SMALL[10:], patched=SMALL[:10],
        headers=(*TYPED, ("Content-Range", f"20-{len(SMALL) - 1}")))
    put("empty-blob", "&digest=" + digest(b""), b"")
    put("no-body", good, b"")
    s.session("put/repeated/post", "f")
    s.add("put/repeated/first", "PUT", with_digest("f", digest(SMALL)), TYPED, SMALL)
    s.add("put/repeated/second", "PUT", with_digest("f", digest(SMALL)), TYPED, SMALL)
    s.add("put/repeated/patch", "PATCH", "{f}", TYPED, b"x")
    s.add("put/repeated/delete", "DELETE", "{f}")


# --- manifests ---

def push_manifests(s):
    for id_, (body, media_type) in STORED.items():
        s.manifest(f"manifest/put/{id_}", body, id_, media_type)
        s.manifest(f"manifest/put-by-digest/{id_}", body, digest(body), media_type)
    s.manifest("manifest/put/again", IMAGE, "oci-image", OCI_MANIFEST)
    s.manifest("manifest/put/second-tag", IMAGE, "second", OCI_MANIFEST)


def refused_manifests(s):
    def put(id_, document, media_type=OCI_MANIFEST, reference="refused", **more):
        s.manifest(f"manifest/refused/{id_}", document, reference, media_type, **more)

    put("no-type", IMAGE, None)
    put("json-type", IMAGE, "application/json")
    put("octets-type", IMAGE, OCTETS)
    put("charset", IMAGE, OCI_MANIFEST + "; charset=utf-8")
    put("wrong-type", IMAGE, DOCKER_MANIFEST)
    put("index-as-image", INDEX, OCI_MANIFEST)
    put("image-as-index", IMAGE, OCI_INDEX)
    put("unknown-type", IMAGE, "application/vnd.example.manifest+json")
    put("bad-type", IMAGE, "nonsense")
    put("artifact-type", IMAGE, "application/vnd.oci.artifact.manifest.v1+json")
    put("empty", b"")
    put("not-json", b"hello")
    put("null", b"null")
    put("array", b"[]")
    put("empty-object", b"{}")
    put("trailing", IMAGE + b"x")
    put("trailing-newline", IMAGE + b"\n")
    put("cut", IMAGE[:-5])
    put("duplicate-key", IMAGE[:-1] + b',"schemaVersion":2}')
    put("other-case", IMAGE[:-1] + b',"Layers":[]}')
    put("both-kinds", dumps(image(manifests=[])))
    put("index-with-layers", dumps(index([IMAGE], layers=[])), OCI_INDEX)
    put("index-with-config", dumps(index([IMAGE], config=descriptor(CONFIG, OCI_CONFIG))), OCI_INDEX)
    for version in (1, 3, "2", None, 2.0):
        put(f"schema-version-{version}", dumps(image(schemaVersion=version)))
    put("no-schema-version", dumps({k: v for k, v in image().items() if k != "schemaVersion"}))
    put("no-media-type", dumps({k: v for k, v in image().items() if k != "mediaType"}),
        reference="no-media-type")
    put("docker-no-media-type", dumps({k: v for k, v in image(DOCKER_MANIFEST).items()
                                       if k != "mediaType"}), DOCKER_MANIFEST)
    put("index-no-media-type", dumps({k: v for k, v in index([IMAGE]).items() if k != "mediaType"}),
        OCI_INDEX, reference="index-no-media-type")
    put("no-config", dumps({k: v for k, v in image().items() if k != "config"}))
    put("null-config", dumps(image(config=None)))
    put("no-layers", dumps({k: v for k, v in image().items() if k != "layers"}))
    put("null-layers", dumps(image() | {"layers": None}))
    put("empty-layers", dumps(image() | {"layers": []}), reference="empty-layers")
    put("layers-object", dumps(image() | {"layers": {}}))
    put("missing-layer", dumps(image(layers=[b"never pushed"])))
    put("two-missing", dumps(image(layers=[b"never pushed", b"nor this", SMALL])))
    put("missing-config", dumps(image() | {"config": descriptor(b"no", OCI_CONFIG)}))
    put("missing-child", dumps(index([b"never pushed"])), OCI_INDEX)
    put("blob-of-other-repository", dumps(image(layers=[LARGE])), repo=OTHER)
    put("empty-index", dumps(index([])), OCI_INDEX, reference="empty-index")
    put("nested-index", dumps(index([INDEX], child_type=OCI_INDEX)), OCI_INDEX, reference="nested")
    put("bad-digest", dumps(image() | {"layers": [{**descriptor(SMALL, OCI_LAYER),
                                                   "digest": "sha256:abc"}]}))
    put("empty-digest", dumps(image() | {"layers": [{**descriptor(SMALL, OCI_LAYER), "digest": ""}]}))
    for id_, size in (("wrong", 1), ("negative", -1), ("text", "140"), ("fraction", 1.5),
                      ("huge", 2 ** 63)):
        put(f"size-{id_}", dumps(image() | {"layers": [{**descriptor(SMALL, OCI_LAYER),
                                                        "size": size}]}), reference="sizes")
    put("unknown-member", dumps(image(example={"a": [1, 2]})), reference="unknown-member")
    put("annotations", dumps(image(annotations={"a": "b"})), reference="annotations")
    put("annotations-number", dumps(image(annotations={"a": 1})))
    put("artifact", dumps(image(artifactType="application/vnd.example.sbom")), reference="artifact")
    put("empty-config-type", dumps(image() | {"config": descriptor(CONFIG, OCI_EMPTY)}),
        reference="empty-config")
    put("subject", dumps(image(subject=descriptor(IMAGE, OCI_MANIFEST))), reference="subject")
    put("subject-absent", dumps(image(subject=descriptor(b"nothing", OCI_MANIFEST))),
        reference="subject-absent")
    put("large", IMAGE + b" " * (4 * 1024 * 1024))
    put("schema1", dumps({"schemaVersion": 1, "name": REPO, "tag": "x", "architecture": "amd64",
                          "fsLayers": [], "history": []}), SCHEMA1)
    put("schema1-signed", dumps({"schemaVersion": 1, "name": REPO, "tag": "x", "fsLayers": [],
                                 "architecture": "amd64", "history": [], "signatures": []}),
        SCHEMA1_SIGNED)
    foreign = {"urls": ["https://example.com/layer"]}
    for id_, layer in (("oci-foreign-with-url", descriptor(b"far", OCI_FOREIGN, **foreign)),
                       ("oci-layer-with-url", descriptor(SMALL, OCI_LAYER, **foreign)),
                       ("oci-foreign-present", descriptor(SMALL, OCI_FOREIGN)),
                       ("oci-foreign-absent", descriptor(b"far", OCI_FOREIGN))):
        put(id_, dumps(image() | {"layers": [layer]}), reference="foreign")
    for id_, layer in (("docker-foreign-with-url", descriptor(b"far", DOCKER_FOREIGN, **foreign)),
                       ("docker-foreign-without-url", descriptor(b"far", DOCKER_FOREIGN))):
        put(id_, dumps(image(DOCKER_MANIFEST) | {"layers": [layer]}), DOCKER_MANIFEST,
            reference="foreign")


REFERENCES = {"long": "a" * 128, "too-long": "a" * 129, "dot-first": ".a", "dash-first": "-a",
              "underscore-first": "_a", "upper": "V1.0-RC_1", "digit": "1", "space": "a%20b",
              "plus": "1.0+build", "utf8": "caf%C3%A9", "colon": "a:b", "slash": "a/b",
              "at": "a@b", "tilde": "a~b"}


def references(s):
    for id_, reference in REFERENCES.items():
        s.manifest(f"reference/{id_}/PUT", IMAGE, reference, OCI_MANIFEST)
        s.add(f"reference/{id_}/GET", "GET", f"/v2/{REPO}/manifests/{reference}", ALL_TYPES)
    for id_, reference in DIGESTS.items():
        if id_ != "word":
            s.manifest(f"reference/digest-{id_}/PUT", IMAGE, reference, OCI_MANIFEST)
            s.add(f"reference/digest-{id_}/GET", "GET", f"/v2/{REPO}/manifests/{reference}",
                  ALL_TYPES)
    s.manifest("reference/sha512/PUT", IMAGE, digest(IMAGE, "sha512"), OCI_MANIFEST)
    s.manifest("reference/query-tag/PUT", IMAGE, digest(IMAGE) + "?tag=extra", OCI_MANIFEST)
    s.add("reference/query-tag/GET", "GET", f"/v2/{REPO}/manifests/extra", ALL_TYPES)


ACCEPTS = {"none": (), "any": [("Accept", "*/*")], "application": [("Accept", "application/*")],
           "html": [("Accept", "text/html")], "json": [("Accept", "application/json")],
           "oci-image": [("Accept", OCI_MANIFEST)], "oci-index": [("Accept", OCI_INDEX)],
           "docker-image": [("Accept", DOCKER_MANIFEST)], "docker-list": [("Accept", DOCKER_LIST)],
           "schema1": [("Accept", SCHEMA1_SIGNED)], "all": ALL_TYPES,
           "lines": [("Accept", OCI_MANIFEST), ("Accept", OCI_INDEX), ("Accept", DOCKER_MANIFEST),
                     ("Accept", DOCKER_LIST)],
           "quality": [("Accept", f"{OCI_MANIFEST};q=0.5, {DOCKER_MANIFEST};q=0.4, "
                                  f"{OCI_INDEX};q=0.3, {DOCKER_LIST};q=0.2")],
           "quality-zero": [("Accept", f"{OCI_MANIFEST};q=0, {OCI_INDEX};q=0, "
                                       f"{DOCKER_MANIFEST};q=0, {DOCKER_LIST};q=0")]}


def read_manifests(s):
    manifests = f"/v2/{REPO}/manifests/"
    for stored, (body, _) in STORED.items():
        for id_, headers in ACCEPTS.items():
            s.add(f"manifest/get/{stored}/tag/{id_}", "GET", manifests + stored, headers)
            s.add(f"manifest/get/{stored}/digest/{id_}", "GET", manifests + digest(body), headers)
        for id_ in ("none", "any", "all"):
            s.add(f"manifest/head/{stored}/tag/{id_}", "HEAD", manifests + stored, ACCEPTS[id_])
            s.add(f"manifest/head/{stored}/digest/{id_}", "HEAD", manifests + digest(body),
                  ACCEPTS[id_])
    for method in ("GET", "HEAD"):
        s.add(f"manifest/unknown-tag/{method}", method, manifests + "nope", ALL_TYPES)
        s.add(f"manifest/unknown-digest/{method}", method, manifests + ABSENT, ALL_TYPES)
        s.add(f"manifest/unknown-repository/{method}", method, "/v2/no/such/manifests/x", ALL_TYPES)
        s.add(f"manifest/blob-as-manifest/{method}", method, manifests + digest(SMALL), ALL_TYPES)
        s.add(f"manifest/other-repository/{method}", method,
              f"/v2/{OTHER}/manifests/{digest(IMAGE)}", ALL_TYPES)
    s.add("manifest/range", "GET", manifests + "oci-image", (*ALL_TYPES, ("Range", "bytes=0-9")))
    s.add("manifest/gzip", "GET", manifests + "oci-image", (*ALL_TYPES, ("Accept-Encoding", "gzip")))
    etag = '"' + digest(IMAGE) + '"'
    for id_, value in (("quoted", etag), ("bare", digest(IMAGE)), ("weak", "W/" + etag),
                       ("star", "*"), ("other", '"x"'), ("list", '"x", ' + etag)):
        for kind, reference in (("tag", "oci-image"), ("digest", digest(IMAGE))):
            s.add(f"condition/manifest/{kind}/{id_}", "GET", manifests + reference,
                  (*ALL_TYPES, ("If-None-Match", value)))
    s.add("condition/manifest/HEAD", "HEAD", manifests + "oci-image",
          (*ALL_TYPES, ("If-None-Match", etag)))
    for method in ("POST", "PATCH", "OPTIONS"):
        s.add(f"manifest/there/{method}", method, manifests + "oci-image")


# --- lists ---

PAGES = {"none": "", "n0": "?n=0", "n1": "?n=1", "n2": "?n=2", "n3": "?n=3", "n-exact": "?n=6",
         "n1000": "?n=1000", "n-large": "?n=100000", "n-huge": "?n=99999999999999999999",
         "n-negative": "?n=-1", "n-word": "?n=abc", "n-empty": "?n=", "n-fraction": "?n=1.5",
         "n-plus": "?n=%2B1", "n-zero-padded": "?n=01", "last": "?last=b", "last-and-n": "?n=2&last=b",
         "last-absent": "?n=2&last=bb", "last-beyond": "?last=zzz", "last-empty": "?n=2&last=",
         "last-bad": "?last=%zz", "last-upper": "?last=B", "twice": "?n=1&n=2", "unknown": "?x=y"}


def lists(s):
    for name in "abcdef":
        s.push(f"lists/push/{name}", CONFIG, f"list/{name}")
    s.push("lists/push/tags", CONFIG, "list/tags")
    s.push("lists/push/tags-layer", SMALL, "list/tags")
    for name in ("a", "b", "c", "d", "e", "f"):
        s.manifest(f"lists/tag/{name}", IMAGE, name, OCI_MANIFEST, "list/tags")
    for id_, query in PAGES.items():
        s.add(f"tags/{id_}", "GET", "/v2/list/tags/tags/list" + query)
        s.add(f"catalog/{id_}", "GET",
              "/v2/_catalog" + query.replace("last=b", "last=list/b").replace("last=B", "last=LIST/B"))
    for method in ("HEAD", "OPTIONS"):
        s.add(f"tags/{method}", method, "/v2/list/tags/tags/list")
        s.add(f"catalog/{method}", method, "/v2/_catalog")
    s.add("tags/without-tags", "GET", "/v2/list/a/tags/list")
    s.add("tags/unknown-repository", "GET", "/v2/no/such/tags/list")
    s.add("tags/unknown-repository/HEAD", "HEAD", "/v2/no/such/tags/list")
    s.add("referrers/there", "GET", f"/v2/{REPO}/referrers/{digest(IMAGE)}")
    s.add("referrers/absent", "GET", f"/v2/{REPO}/referrers/{ABSENT}")
    s.add("referrers/bad-digest", "GET", f"/v2/{REPO}/referrers/nope")
    s.add("referrers/fallback-tag", "GET", f"/v2/{REPO}/manifests/sha256-{digest(IMAGE)[7:]}",
          ALL_TYPES)


# --- who asked, and how ---

def forwarded(s):
    uploads = f"/v2/{REPO}/blobs/uploads/"
    for id_, headers in (("proto", [("X-Forwarded-Proto", "https")]),
                         ("host", [("X-Forwarded-Host", "front.example")]),
                         ("both", [("X-Forwarded-Proto", "https"),
                                   ("X-Forwarded-Host", "front.example:8443, inner")]),
                         ("rfc7239", [("Forwarded", "for=1.2.3.4;proto=https;host=front.example")]),
                         ("for", [("X-Forwarded-For", "1.2.3.4")]),
                         ("bad-proto", [("X-Forwarded-Proto", "gopher")])):
        s.add(f"forwarded/{id_}", "POST", uploads, headers)
    s.add("forwarded/host-header", "POST", uploads, [("Host", "registry.example")])
    s.add("forwarded/long-query", "GET", "/v2/?x=" + "a" * 4000)
    s.add("forwarded/many-headers", "GET", "/v2/", [(f"X-H{i}", "v") for i in range(90)])


# --- deletes, at the end ---

def deletes(s):
    manifests = f"/v2/{REPO}/manifests/"
    s.add("delete/tag", "DELETE", manifests + "second")
    s.add("delete/tag/after", "GET", manifests + "second", ALL_TYPES)
    s.add("delete/unknown-tag", "DELETE", manifests + "nope")
    s.add("delete/unknown-digest", "DELETE", manifests + ABSENT)
    s.add("delete/unknown-repository", "DELETE", f"/v2/no/such/manifests/{ABSENT}")
    for id_ in ("short", "upper", "md5", "sha512"):
        s.add(f"delete/digest-{id_}", "DELETE", manifests + DIGESTS[id_])
    s.add("delete/index", "DELETE", manifests + digest(INDEX))
    s.add("delete/index/again", "DELETE", manifests + digest(INDEX))
    s.add("delete/index/tag-after", "GET", manifests + "oci-index", ALL_TYPES)
    s.add("delete/index/digest-after", "GET", manifests + digest(INDEX), ALL_TYPES)
    s.add("delete/index/child-after", "GET", manifests + digest(IMAGE), ALL_TYPES)
    s.add("delete/child-of-a-list", "DELETE", manifests + digest(DOCKER_IMAGE))
    s.add("delete/list-after", "GET", manifests + "docker-list", ALL_TYPES)
    s.add("delete/tags-after", "GET", "/v2/list/tags/tags/list")
    s.add("delete/last-tags", "DELETE", f"/v2/list/tags/manifests/{digest(IMAGE)}")
    s.add("delete/last-tags/after", "GET", "/v2/list/tags/tags/list")
    blobs = "/v2/list/tags/blobs/"
    s.add("delete/blob", "DELETE", blobs + digest(SMALL))
    s.add("delete/blob/again", "DELETE", blobs + digest(SMALL))
    s.add("delete/blob/GET", "GET", blobs + digest(SMALL))
    s.add("delete/blob/HEAD", "HEAD", blobs + digest(SMALL))
    s.add("delete/blob/elsewhere", "GET", f"/v2/{REPO}/blobs/{digest(SMALL)}")
    s.add("delete/blob/in-use", "DELETE", f"/v2/{REPO}/blobs/{digest(CONFIG)}")
    s.push("delete/blob/pushed-again", SMALL, "list/tags")
    s.add("delete/blob/there-again", "GET", blobs + digest(SMALL))


def everything():
    s = Script()
    for part in (base, unknown_paths, names, methods, push_blobs, read_blobs, blob_headers,
                 upload_posts, upload_status, upload_patches, upload_puts, push_manifests,
                 refused_manifests, references, read_manifests, lists, forwarded, debug, deletes):
        part(s)
    return s


# --- other configurations ---

def logins(s):
    """With auth.htpasswd: user `anna`, password `correct horse`."""
    import base64

    def basic(text):
        return [("Authorization", "Basic " + base64.b64encode(text.encode()).decode())]

    who = {"nobody": (), "anna": basic("anna:correct horse"), "wrong": basic("anna:wrong"),
           "unknown": basic("otto:correct horse"), "empty": basic(":"), "no-colon": basic("anna"),
           "bearer": [("Authorization", "Bearer x.y.z")], "nonsense": [("Authorization", "x")],
           "not-base64": [("Authorization", "Basic !!!")],
           "lower-scheme": [("Authorization", basic("anna:correct horse")[0][1].replace("B", "b", 1))]}
    for id_, headers in who.items():
        for route, method, path in (
                ("base", "GET", "/v2/"), ("base-head", "HEAD", "/v2/"),
                ("catalog", "GET", "/v2/_catalog"), ("tags", "GET", "/v2/no/such/tags/list"),
                ("blob", "GET", f"/v2/no/such/blobs/{ABSENT}"),
                ("manifest", "GET", "/v2/no/such/manifests/x"),
                ("put", "PUT", "/v2/no/such/manifests/x"),
                ("delete", "DELETE", f"/v2/no/such/manifests/{ABSENT}"),
                ("upload", "POST", "/v2/no/such/blobs/uploads/"),
                ("options", "OPTIONS", "/v2/no/such/tags/list"),
                ("unknown-path", "GET", "/v2/no/such/path"), ("root", "GET", "/"),
                ("bad-name", "GET", "/v2/BAD/tags/list"), ("bad-method", "PUT", "/v2/_catalog")):
            s.add(f"login/{id_}/{route}", method, path, headers)


def with_tokens(s, named=False):
    """With auth.token: who has which token, on every kind of route."""
    who = {id_: [("Authorization", "Bearer " + text)]
           for id_, text in tokens.all_tokens(named).items()}
    good = who["good"][0][1]
    who |= {"nobody": (), "basic": [("Authorization", "Basic YW5uYTp4")],
            "nothing": [("Authorization", "Bearer ")], "lower": [("Authorization", "b" + good[1:])]}
    for id_, headers in who.items():
        for route, method, path in (
                ("base", "GET", "/v2/"), ("catalog", "GET", "/v2/_catalog"),
                ("tags", "GET", "/v2/no/such/tags/list"),
                ("blob", "HEAD", f"/v2/no/such/blobs/{ABSENT}"),
                ("manifest", "GET", "/v2/no/such/manifests/x"),
                ("put", "PUT", "/v2/no/such/manifests/x"),
                ("delete", "DELETE", f"/v2/no/such/manifests/{ABSENT}"),
                ("upload", "POST", "/v2/no/such/blobs/uploads/"),
                ("mount", "POST",
                 f"/v2/no/such/blobs/uploads/?mount={ABSENT}&from=cmp/other")):
            s.add(f"token/{id_}/{route}", method, path, headers)


def with_keys(s):
    with_tokens(s, named=True)


def redirected(s):
    """auth.token.autoredirect."""
    for id_, headers in (("plain", ()), ("host", [("Host", "registry.example:5000")]),
                         ("proto", [("X-Forwarded-Proto", "http")]),
                         ("both", [("X-Forwarded-Proto", "https"),
                                   ("X-Forwarded-Host", "front.example")])):
        s.add(f"redirected/{id_}", "GET", "/v2/", headers)


def pages(s):
    """catalog.maxentries and tags.maxtags, both small."""
    for name in "abcde":
        for id_, data in (("config", CONFIG), ("small", SMALL)):
            s.push(f"pages/push/{name}/{id_}", data, f"list/{name}")
        s.manifest(f"pages/tag/{name}", IMAGE, "x", OCI_MANIFEST, f"list/{name}")
        s.manifest(f"pages/tags/{name}", IMAGE, name, OCI_MANIFEST, "list/a")
    for id_, query in PAGES.items():
        s.add(f"pages/of-tags/{id_}", "GET", "/v2/list/a/tags/list" + query)
        s.add(f"pages/of-catalog/{id_}", "GET", "/v2/_catalog" + query)


def closed(s):
    """What a registry refuses that may not delete."""
    for id_, data in (("config", CONFIG), ("small", SMALL)):
        s.push(f"closed/push/{id_}", data)
    s.manifest("closed/put", IMAGE, "x", OCI_MANIFEST)
    for id_, path in (("tag", "manifests/x"), ("manifest", f"manifests/{digest(IMAGE)}"),
                      ("unknown-manifest", f"manifests/{ABSENT}"), ("blob", f"blobs/{digest(SMALL)}"),
                      ("unknown-blob", f"blobs/{ABSENT}")):
        s.add(f"closed/delete/{id_}", "DELETE", f"/v2/{REPO}/{path}")
        s.add(f"closed/options/{id_}", "OPTIONS", f"/v2/{REPO}/{path}")
    s.add("closed/after", "GET", f"/v2/{REPO}/manifests/x", ALL_TYPES)


def frozen(s):
    """storage.maintenance.readonly."""
    for route, path in (("base", "/v2/"), ("catalog", "/v2/_catalog"),
                        ("tags", "/v2/no/such/tags/list"), ("manifest", "/v2/no/such/manifests/x"),
                        ("blob", f"/v2/no/such/blobs/{ABSENT}"),
                        ("uploads", "/v2/no/such/blobs/uploads/"),
                        ("upload", "/v2/no/such/blobs/uploads/0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f")):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            s.add(f"frozen/{route}/{method}", method, path)


def placed(s):
    """http.prefix, http.host and http.headers."""
    for path in ("/", "/v2/", "/pre/", "/pre/v2", "/pre/v2/", "/pre/v2/_catalog", "/pre", "/pre/x"):
        s.add(f"placed/get{path}", "GET", path)
    s.add("placed/post", "POST", f"/pre/v2/{REPO}/blobs/uploads/", save="p")
    s.add("placed/put", "PUT", with_digest("p", digest(CONFIG)), TYPED, CONFIG)
    s.add("placed/post-2", "POST", f"/pre/v2/{REPO}/blobs/uploads/", save="p")
    s.add("placed/patch", "PATCH", "{p}", TYPED, SMALL, save="p")
    s.add("placed/put-2", "PUT", with_digest("p", digest(SMALL)), TYPED)
    s.add("placed/manifest", "PUT", f"/pre/v2/{REPO}/manifests/x",
          [("Content-Type", OCI_MANIFEST)], IMAGE)
    s.manifest("placed/outside", IMAGE, "x", OCI_MANIFEST)
    s.add("placed/tag-2", "PUT", f"/pre/v2/{REPO}/manifests/y", [("Content-Type", OCI_MANIFEST)],
          IMAGE)
    s.add("placed/mount", "POST",
          f"/pre/v2/{OTHER}/blobs/uploads/?mount={digest(CONFIG)}&from={REPO}")
    s.add("placed/next-page", "GET", "/pre/v2/_catalog?n=1")
    s.add("placed/manifest-get", "GET", f"/pre/v2/{REPO}/manifests/x", ALL_TYPES)
    s.add("placed/forwarded", "POST", f"/pre/v2/{REPO}/blobs/uploads/",
          [("X-Forwarded-Host", "front.example")])


def hosted(s):
    """A host without the prefix: something in front adds it."""
    s.add("host/post", "POST", f"/pre/v2/{REPO}/blobs/uploads/")
    s.add("host/next-page", "GET", "/pre/v2/_catalog?n=1")


def unhealthy(s):
    """health.file: a check that fails."""
    s.add("unhealthy/wait", "GET", "/v2/", settle=503)
    for id_, method, path in (("root", "GET", "/"), ("base", "GET", "/v2/"),
                              ("base-head", "HEAD", "/v2/"), ("catalog", "GET", "/v2/_catalog"),
                              ("blob", "GET", f"/v2/{REPO}/blobs/{ABSENT}"),
                              ("upload", "POST", f"/v2/{REPO}/blobs/uploads/"),
                              ("unknown-path", "GET", "/x"), ("bad-name", "GET", "/v2/A/tags/list")):
        s.add(f"unhealthy/{id_}", method, path)
    for method in ("GET", "HEAD", "POST"):
        s.add(f"unhealthy/debug/{method}", method, "/debug/health", debug=True)


def debug(s):
    for method in METHODS:
        s.add(f"debug/health/{method}", method, "/debug/health", debug=True)
    s.add("debug/metrics", "GET", "/metrics", debug=True, body_matters=False)
    for path in ("/", "/debug/vars", "/debug/pprof/", "/debug/health/", "/v2/"):
        s.add(f"debug/other{path}", "GET", path, debug=True, body_matters=False)


def validated(s):
    """validation.manifests.urls and policy.repository.classes."""
    for id_, data in (("config", CONFIG), ("small", SMALL)):
        s.push(f"validated/push/{id_}", data)
    for id_, url in (("good", "https://good.example/x"), ("http", "http://good.example/x"),
                     ("other", "https://other.example/x"), ("denied", "https://good.example/secret"),
                     ("fragment", "https://good.example/x#f"), ("ftp", "ftp://good.example/x"),
                     ("empty", "")):
        for kind, media_type, layer_type in (("oci", OCI_MANIFEST, OCI_FOREIGN),
                                             ("docker", DOCKER_MANIFEST, DOCKER_FOREIGN)):
            layer = descriptor(b"far", layer_type, urls=[url])
            s.manifest(f"validated/{kind}/{id_}", image(media_type) | {"layers": [layer]}, "x",
                       media_type)
    for id_, config_type, media_type in (
            ("oci-image", OCI_CONFIG, OCI_MANIFEST), ("docker-image", DOCKER_CONFIG, DOCKER_MANIFEST),
            ("plugin", "application/vnd.docker.plugin.v1+json", DOCKER_MANIFEST),
            ("artifact", OCI_EMPTY, OCI_MANIFEST)):
        s.manifest(f"validated/class/{id_}",
                   image(media_type) | {"config": descriptor(CONFIG, config_type)}, "x", media_type)
    s.manifest("validated/index", INDEX, "i", OCI_INDEX)


def platforms(s):
    """validation.manifests.indexes: which of an index's images have to be there. (registry 3 dies of
    an image without a platform.)"""
    for id_, data in (("config", CONFIG), ("small", SMALL)):
        s.push(f"platforms/push/{id_}", data)
    s.manifest("platforms/image", IMAGE, digest(IMAGE), OCI_MANIFEST)
    there, absent = descriptor(IMAGE, OCI_MANIFEST), descriptor(b"absent", OCI_MANIFEST)

    def of(child, os, architecture, **more):
        return {**child, "platform": {"os": os, "architecture": architecture, **more}}

    for id_, children in (
            ("all-there", [of(there, "linux", "amd64"), of(there, "linux", "arm64")]),
            ("listed-there", [of(there, "linux", "amd64"), of(absent, "linux", "arm64")]),
            ("listed-absent", [of(there, "linux", "arm64"), of(absent, "linux", "amd64")]),
            ("none-listed", [of(absent, "linux", "arm64"), of(absent, "windows", "amd64")]),
            ("capitals", [of(absent, "Linux", "AMD64")]),
            ("variant", [of(absent, "linux", "amd64", variant="v2")]),
            ("unknown", [of(there, "linux", "amd64"), of(absent, "unknown", "unknown")]),
            ("all-absent", [of(absent, "linux", "amd64")])):
        for kind, media_type in (("oci", OCI_INDEX), ("docker", DOCKER_LIST)):
            s.manifest(f"platforms/{kind}/{id_}", {"schemaVersion": 2, "mediaType": media_type,
                                                   "manifests": children}, id_, media_type)
            s.add(f"platforms/{kind}/{id_}/GET", "GET", f"/v2/{REPO}/manifests/{id_}", ALL_TYPES)


CONFIGURATION = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
                 "storage": {"filesystem": {}, "delete": {"enabled": True},
                             "maintenance": {"uploadpurging": {"enabled": False, "age": "168h",
                                                               "interval": "24h", "dryrun": False}}},
                 "http": {"addr": "127.0.0.1:0",
                          "debug": {"addr": "127.0.0.1:0", "prometheus": {"enabled": True}}}}
HTPASSWD = "anna:$2y$04$dqIdPvGCWGQ/e.7TkefGcOpRSxvsVIbvbuv5o4pOXa.UrsF/QW.bi\n"


def merged(*changes):
    out = json.loads(json.dumps(CONFIGURATION))
    for path, value in changes:
        at = out
        for key in path[:-1]:
            at = at.setdefault(key, {})
        at[path[-1]] = value
    return out


TOKEN = {"realm": tokens.REALM, "service": tokens.SERVICE, "issuer": tokens.ISSUER}
BY_CERTIFICATE = {**TOKEN, "rootcertbundle": "{dir}/certificate.pem"}

# Of each run: its configuration (JSON is YAML; {dir} is the run's directory) and its requests.
RUNS = {
    "plain": (merged(), everything),
    "htpasswd": (merged((("auth",), {"htpasswd": {"realm": "a realm", "path": "{dir}/htpasswd"}})),
                 logins),
    "closed": (merged((("storage", "delete"), {"enabled": False})), closed),
    "frozen": (merged((("storage", "maintenance", "readonly"), {"enabled": True})), frozen),
    "placed": (merged((("http", "prefix"), "/pre/"), (("http", "host"), "https://front.example/pre/"),
                      (("http", "headers"), {"X-Content-Type-Options": ["nosniff"],
                                             "X-Two": ["a", "b"]})), placed),
    "host": (merged((("http", "prefix"), "/pre/"), (("http", "host"), "https://front.example")), hosted),
    "host-path": (merged((("http", "prefix"), "/pre/"),
                         (("http", "host"), "https://front.example/path")), hosted),
    "host-relative": (merged((("http", "prefix"), "/pre/"), (("http", "relativeurls"), True),
                             (("http", "host"), "https://front.example")), hosted),
    "absolute": (merged((("http", "relativeurls"), False)), forwarded),
    "relative": (merged((("http", "relativeurls"), True)), forwarded),
    "unhealthy": (merged((("health",), {"file": [{"file": "{dir}/htpasswd", "interval": "100ms"}]})),
                  unhealthy),
    "validated": (merged((("validation",), {"manifests": {"urls": {
        "allow": [r"^https?://good\.example/"], "deny": ["secret"]}}}),
        (("policy",), {"repository": {"classes": ["image"]}})), validated),
    "pages": (merged((("catalog",), {"maxentries": 3}), (("tags",), {"maxtags": 2})), pages),
    "token": (merged((("auth",), {"token": BY_CERTIFICATE})), with_tokens),
    "token-redirect": (merged((("auth",), {"token": {**BY_CERTIFICATE, "autoredirect": True}})),
                       redirected),
    # Only registry 3 knows these.
    "token-keys": (merged((("auth",), {"token": {**TOKEN, "jwks": "{dir}/jwks"}})), with_keys),
    "token-algorithms": (merged((("auth",), {"token": {**BY_CERTIFICATE,
                                                       "signingalgorithms": ["ES256"]}})),
                         with_tokens),
    "platforms-none": (merged((("validation",), {"manifests": {"indexes": {"platforms": "none"}}})),
                       platforms),
    "platforms-list": (merged((("validation",), {"manifests": {"indexes": {
        "platforms": "List", "platformlist": [{"os": "linux", "architecture": "amd64"}]}}})),
        platforms),
    "token-path": (merged((("auth",), {"token": {**BY_CERTIFICATE, "autoredirect": True,
                                                 "autoredirectpath": "/a/path"}})), redirected),
}
SINCE_3 = ("token-keys", "token-algorithms", "token-path", "platforms-none", "platforms-list")


def runs_of(version):
    return [name for name in RUNS if name not in SINCE_3 or not version.startswith("2.")]


def cases_of(run):
    """The requests of one run."""
    make = RUNS[run][1]
    if make is everything:
        return make()
    s = Script()
    make(s)
    return s
