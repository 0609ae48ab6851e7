# SPDX-License-Identifier: Apache-2.0
"""The authorisation matrix: every route x kinds of login x expected answer and challenge. ROUTES
below is compared with src/registry/routes.c: a new row there fails here until it has a row."""

import re
import subprocess

import pytest
import requests
from auth_logins import SERVICE, basic, bearer, claims, config, entry, hs256, jwks, signed, token
from harness import TOP, Berth, binary, wait_for
from registry_client import OCI_MANIFEST, Registry, closing, digest, error_of, image

REPO = "a/b"
OTHER = "a/bb"
CONFIG, LAYER = b"{}", b"a layer"
MANIFEST = image(CONFIG, [LAYER])

# method, pattern, what a token needs (None: any login; PUBLIC: no login), status when it may
PUBLIC = "public"
PULL, PUSH, DELETE, CATALOG = "pull", "pull,push", "delete", "catalog"
ROUTES = [
    ("GET", "/", PUBLIC, 200),
    ("GET", "/v2/", None, 200),
    ("GET", "/v2/_catalog", CATALOG, 200),
    ("GET", "/v2/<name>/tags/list", PULL, 200),
    ("GET", "/v2/<name>/manifests/<reference>", PULL, 200),
    ("PUT", "/v2/<name>/manifests/<reference>", PUSH, 201),
    ("DELETE", "/v2/<name>/manifests/<reference>", DELETE, 202),
    ("GET", "/v2/<name>/referrers/<digest>", PULL, 200),
    ("POST", "/v2/<name>/blobs/uploads/", PUSH, 202),
    ("GET", "/v2/<name>/blobs/uploads/<uuid>", PUSH, 204),
    ("PATCH", "/v2/<name>/blobs/uploads/<uuid>", PUSH, 202),
    ("PUT", "/v2/<name>/blobs/uploads/<uuid>", PUSH, 201),
    ("DELETE", "/v2/<name>/blobs/uploads/<uuid>", PUSH, 204),
    ("GET", "/v2/<name>/blobs/<digest>", PULL, 200),
    ("DELETE", "/v2/<name>/blobs/<digest>", DELETE, 202),
    ("GET", "/livez", PUBLIC, 200),
    ("GET", "/readyz", PUBLIC, 200),
]
DEBUG_ROUTES = ["/livez", "/readyz", "/startupz", "/debug/health", "/metrics"]

# Every route is asked by its own method, and those that are read by HEAD as well.
CELLS = [(method, *row[1:]) for row in ROUTES
         for method in ([row[0], "HEAD"] if row[0] == "GET" else [row[0]])]
ACTIONS = {PUBLIC: ("HEALTH", "METRICS"), None: ("PING",), PULL: ("PULL",), PUSH: ("PUSH",),
           DELETE: ("DELETE",), CATALOG: ("CATALOG",)}


def routes_of(table):
    """(method, pattern, action) of each row of a table in routes.c."""
    source = (TOP / "src/registry/routes.c").read_text()
    body = re.search(r"struct route " + table + r"\[\] = \{(.*?)\n\};", source, re.S).group(1)
    rows = re.findall(r'\{\s*"\w+",\s*HTTP_(\w+),\s*"([^"]+)",\s*ACTION_(\w+),', body)
    assert len(rows) == body.count("{"), "a row of routes.c is not understood"
    return rows


def test_no_route_is_missing():
    assert {(m, p) for m, p, _ in routes_of("routes")} == {(m, p) for m, p, _, _ in ROUTES}
    assert {p for _, p, _ in routes_of("debug_routes")} == set(DEBUG_ROUTES)
    wanted = {(m, p): ACTIONS[need] for m, p, need, _ in ROUTES}
    for method, pattern, action in routes_of("routes"):
        assert action in wanted[method, pattern], (method, pattern, action)
    assert all(action in ACTIONS[PUBLIC] for _, _, action in routes_of("debug_routes"))


# --- servers, each with one kind of login ---

TOKEN_CONFIG = """auth:
  token:
    realm: https://auth.example/token
    service: {service}
    issuer: the issuer
    jwks: {jwks}
"""
HTPASSWD_CONFIG = """auth:
  htpasswd:
    realm: Berth Realm
    path: {path}
"""
SILLY_CONFIG = "auth:\n  silly:\n    realm: test-realm\n    service: test-service\n"
STAR = ("pull", "push", "delete")


class Site:
    """A server, and somebody who may do everything."""

    def __init__(self, base, auth, admin):
        base.mkdir()
        auth = auth.format(path=base / "users", jwks=base / "jwks.json", service=SERVICE)
        jwks(base / "jwks.json")
        subprocess.run([binary(), "htpasswd", "-c", "-C", "4", "-i", base / "users", "ann"],
                       input=b"right", check=True, capture_output=True, timeout=60)
        self.berth = Berth(base / "server", config=config(base / "config.yml", auth))
        self.admin = {"Authorization": admin()} if admin else {}
        self.registry = Registry(self.berth.url)
        self.registry.session.headers.update(self.admin)
        self.n = 0

    def request(self, method, target, body, login):
        headers = {"Authorization": login} if login is not None else {}
        if target.partition("?")[0].find("/manifests/") > 0:
            headers["Content-Type"] = OCI_MANIFEST
        elif method in ("PATCH", "PUT"):
            headers["Content-Type"] = "application/octet-stream"
        url = target if target.startswith("http") else self.berth.url + target
        with requests.Session() as s:
            s.trust_env = False
            return s.request(method, url, headers=headers, data=body, timeout=60,
                             allow_redirects=False)

    def prepare(self, method, pattern):
        """What the route needs to answer well: (path and query, body)."""
        r = self.registry
        self.n += 1
        if "<name>" not in pattern:
            return pattern, None
        for data in (CONFIG, LAYER):
            r.push_blob(REPO, data)
        if "<uuid>" in pattern:
            location = r.start(REPO)
            data = b"upload %d" % self.n
            if method == "PUT":
                return closing(location, digest(data)), data
            return location, data if method == "PATCH" else None
        tag = f"tag{self.n}"
        if "<reference>" in pattern:
            if method != "PUT":
                r.push_manifest(REPO, tag, MANIFEST)
            return f"/v2/{REPO}/manifests/{tag}", MANIFEST if method == "PUT" else None
        if "/blobs/<digest>" in pattern:
            if method == "DELETE":  # one that no manifest needs
                return f"/v2/{REPO}/blobs/{r.push_blob(REPO, b'loose %d' % self.n)}", None
            return f"/v2/{REPO}/blobs/{digest(LAYER)}", None
        r.push_manifest(REPO, tag, MANIFEST)
        return (pattern.replace("<name>", REPO).replace("<digest>", digest(MANIFEST)), None)


def all_access():
    return bearer(token(entry(REPO, *STAR), entry(OTHER, *STAR),
                        entry("catalog", "*", kind="registry")))


SITES = {
    "none": ("", None),
    "silly": (SILLY_CONFIG, lambda: "Anything at all"),
    "htpasswd": (HTPASSWD_CONFIG, lambda: basic("ann", "right")),
    "token": (TOKEN_CONFIG, all_access),
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    base = tmp_path_factory.mktemp("sites")
    made = {name: Site(base / name, auth, admin) for name, (auth, admin) in SITES.items()}
    yield made
    for site in made.values():
        site.berth.stop()


# --- logins: name, header, what it holds (True: everything; a set: that; None: refused) ---

LOGINS = {
    "none": [
        ("nobody", lambda: None, True),
        ("somebody", lambda: basic("ann", "x"), True),
    ],
    "silly": [
        ("nobody", lambda: None, None),
        ("empty", lambda: "", None),
        ("anything", lambda: "x", True),
    ],
    "htpasswd": [
        ("nobody", lambda: None, None),
        ("right", lambda: basic("ann", "right"), True),
        ("wrong password", lambda: basic("ann", "wrong"), None),
        ("no such user", lambda: basic("eve", "right"), None),
        ("empty password", lambda: basic("ann", ""), None),
        ("no colon", lambda: "Basic YW5u", None),
        ("no base64", lambda: "Basic ann:right", None),
        ("no credentials", lambda: "Basic", None),
        ("another scheme", lambda: bearer(token(entry(REPO, *STAR))), None),
        ("a password that is too long", lambda: basic("ann", "x" * 73), None),
    ],
    "token": [
        ("nobody", lambda: None, None),
        ("a password", lambda: basic("ann", "right"), None),
        ("an empty token", lambda: "Bearer", None),
        ("no token", lambda: bearer("x.y.z"), None),
        ("expired", lambda: bearer(token(entry(REPO, *STAR), exp=1_600_000_000)), None),
        ("not yet", lambda: bearer(token(entry(REPO, *STAR), nbf=4_000_000_000)), None),
        ("wrong audience", lambda: bearer(token(entry(REPO, *STAR), aud="other")), None),
        ("wrong issuer", lambda: bearer(token(entry(REPO, *STAR), iss="other")), None),
        ("bad signature", lambda: bearer(token(entry(REPO, *STAR))[:-4] + "AAAA"), None),
        ("alg none", lambda: bearer(signed({"alg": "none"}, claims(entry(REPO, *STAR)),
                                           lambda _: b"x")), None),
        ("no access", lambda: bearer(token()), set()),
        ("another repository", lambda: bearer(token(entry(OTHER, *STAR))), set()),
        ("its parent", lambda: bearer(token(entry("a", *STAR), entry("a/*", *STAR))), set()),
        ("another type", lambda: bearer(token(entry(REPO, *STAR, kind="repo"))), set()),
        ("pull", lambda: bearer(token(entry(REPO, "pull"))), {PULL}),
        ("push without pull", lambda: bearer(token(entry(REPO, "push"))), set()),
        ("pull and push", lambda: bearer(token(entry(REPO, "pull", "push"))), {PULL, PUSH}),
        ("in two entries", lambda: bearer(token(entry(REPO, "push"), entry(REPO, "pull"))),
         {PULL, PUSH}),
        ("delete", lambda: bearer(token(entry(REPO, "delete"))), {DELETE}),
        ("catalog", lambda: bearer(token(entry("catalog", "*", kind="registry"))), {CATALOG}),
        ("everything", all_access, {PULL, PUSH, DELETE, CATALOG}),
        ("without kid", lambda: bearer(hs256({}, claims(entry(REPO, "pull")))), {PULL}),
        ("in lower case", lambda: "bearer " + token(entry(REPO, "pull")), {PULL}),
    ],
}


def scope_of(need, silly):
    if need in (None, PUBLIC):
        return None
    if need == CATALOG:
        return "registry:catalog:*"
    if silly:
        return " ".join(f"repository:{REPO}:{action}" for action in need.split(","))
    return f"repository:{REPO}:{need}"


def challenge_of(kind, need, error):
    if kind == "htpasswd":
        return 'Basic realm="Berth Realm"'
    realm, service = (("test-realm", "test-service") if kind == "silly" else
                      ("https://auth.example/token", SERVICE))
    text = f'Bearer realm="{realm}",service="{service}"'
    scope = scope_of(need, kind == "silly")
    if scope:
        text += f',scope="{scope}"'
    return text + (f',error="{error}"' if error and kind == "token" else "")


def error_param(name, holds):
    """error= of a token's challenge: not when there was no token at all."""
    if holds is not None:
        return "insufficient_scope"
    return None if name in ("nobody", "a password", "an empty token") else "invalid_token"


def check_refused(r, method, challenge):
    assert r.status_code == 401, (r.status_code, r.text)
    assert r.headers.get("WWW-Authenticate") == challenge
    assert r.headers.get("Docker-Distribution-Api-Version") == "registry/2.0"
    assert "Location" not in r.headers and "Docker-Content-Digest" not in r.headers
    if method == "HEAD":
        assert r.content == b""
    else:
        error_of(r, 401, "UNAUTHORIZED")


@pytest.mark.parametrize("kind", LOGINS)
@pytest.mark.parametrize("cell", CELLS, ids=lambda c: f"{c[0]} {c[1]}")
def test_matrix(sites, kind, cell):
    """Whoever may not do it is refused, and has changed nothing: afterwards it can be done."""
    method, pattern, need, status = cell
    site = sites[kind]
    target, body = site.prepare(method, pattern)
    allowed = []
    for name, header, holds in LOGINS[kind]:
        if need == PUBLIC or holds is True or (holds is not None and (need is None or need in holds)):
            allowed.append((name, header))
            continue
        r = site.request(method, target, body, header())
        try:
            check_refused(r, method, challenge_of(kind, need, error_param(name, holds)))
        except AssertionError as e:
            raise AssertionError(f"{name}: {e}") from None
    assert allowed or kind != "none"
    for i, (name, header) in enumerate(allowed):
        if i and method not in ("GET", "HEAD"):
            target, body = site.prepare(method, pattern)
        r = site.request(method, target, body, header())
        assert r.status_code == status, (name, r.status_code, r.text)
        assert "WWW-Authenticate" not in r.headers


@pytest.mark.parametrize("kind", LOGINS)
@pytest.mark.parametrize("path", DEBUG_ROUTES)
def test_the_debug_listener_is_open(sites, kind, path):
    assert sites[kind].berth.debug(path)[0] == 200


@pytest.mark.parametrize("kind", LOGINS)
@pytest.mark.parametrize("pattern", sorted({row[1] for row in ROUTES}))
def test_options_need_no_login(sites, kind, pattern):
    """A browser asks without credentials."""
    path = re.sub("<(reference|digest|uuid)>", "x", pattern.replace("<name>", REPO))
    r = sites[kind].request("OPTIONS", path, None, None)
    assert r.status_code in (200, 204), (r.status_code, r.text)
    assert "GET" in r.headers["Allow"] or "POST" in r.headers["Allow"]


@pytest.mark.parametrize("kind", ["silly", "htpasswd", "token"])
@pytest.mark.parametrize("path", ["manifests/none", f"blobs/{digest(b'none')}", "tags/list",
                                  f"referrers/{digest(b'none')}"])
def test_existence_is_not_told(sites, kind, path):
    """What is not there is refused with the words that are used for what is."""
    there = sites[kind].request("GET", f"/v2/{REPO}/{path}", None, None)
    nowhere = sites[kind].request("GET", f"/v2/no/such/{path}", None, None)
    assert there.status_code == nowhere.status_code == 401
    assert there.json() == nowhere.json()


def test_a_mount_needs_pull_of_its_source(sites):
    """Without it, the mount is an ordinary upload, as registry has it; the challenge names both."""
    site = sites["token"]
    secret = site.registry.push_blob(OTHER, b"of the other repository")
    target = f"/v2/{REPO}/blobs/uploads/?mount={secret}&from={OTHER}"
    r = site.request("POST", target, None, bearer(token(entry(REPO, "pull"))))
    check_refused(r, "POST", f'Bearer realm="https://auth.example/token",service="{SERVICE}",'
                  f'scope="repository:{REPO}:pull,push repository:{OTHER}:pull",'
                  f'error="insufficient_scope"')
    r = site.request("POST", target, None, bearer(token(entry(REPO, "pull", "push"))))
    assert r.status_code == 202
    r = site.request("POST", f"/v2/{REPO}/blobs/uploads/?mount={secret}", None,
                     bearer(token(entry(REPO, "pull", "push"))))
    assert r.status_code == 202
    r = site.request("POST", target, None,
                     bearer(token(entry(REPO, "pull", "push"), entry(OTHER, "pull"))))
    assert r.status_code == 201


def test_a_name_in_from_cannot_write_the_challenge(sites):
    r = sites["token"].request(
        "POST", f"/v2/{REPO}/blobs/uploads/?mount=x&from=%22%2Cerror%3D%22x", None, None)
    check_refused(r, "POST", challenge_of("token", PUSH, None))


def test_the_user_is_in_the_access_log(sites):
    for kind, login, user in [("htpasswd", basic("ann", "right"), "ann"),
                              ("token", all_access(), "ann"), ("silly", "x", "silly")]:
        r = sites[kind].request("GET", "/v2/", None, login)
        assert r.status_code == 200
        wait_for(lambda: any(r.headers["X-Request-Id"] in x.values() and user in x.values()
                             for x in sites[kind].berth.records()), what="the line of the log")


def test_no_secret_is_logged(sites):
    for site in sites.values():
        text = site.berth.log()
        assert basic("ann", "right").split()[1] not in text
        assert ":right" not in text and "eyJ" not in text
