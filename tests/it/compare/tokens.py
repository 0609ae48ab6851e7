# SPDX-License-Identifier: Apache-2.0
"""Tokens of a token server, and what a registry needs to believe them: a certificate, or a key set.
One key for a whole process: made when it is first asked for."""

import base64
import functools
import hashlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

ISSUER, SERVICE, REALM = "an issuer", "a.service", "https://auth.example/token"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True, capture_output=True,
                          timeout=60).stdout


@functools.cache
def made():
    """(private key, certificate) in PEM form."""
    with tempfile.TemporaryDirectory(prefix="compare-registry-") as d:
        key, certificate = Path(d) / "key.pem", Path(d) / "certificate.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out",
                str(certificate), "-days", "2", "-subj", "/CN=tokens", "-addext",
                "basicConstraints=critical,CA:TRUE")
        return key.read_text(), certificate.read_text()


def certificate():
    return made()[1]


@functools.cache
def key_ids():
    """The names of the key: registry 2.8's, and that of RFC 7638, which registry 3 has."""
    spki = openssl("rsa", "-pubout", "-outform", "DER", data=made()[0].encode())
    text = base64.b32encode(hashlib.sha256(spki).digest()[:30]).decode()
    fingerprint = ":".join(text[i:i + 4] for i in range(0, len(text), 4))
    thumbprint = b64(hashlib.sha256(json.dumps(public(), sort_keys=True,
                                               separators=(",", ":")).encode()).digest())
    return {"fingerprint": fingerprint, "thumbprint": thumbprint}


@functools.cache
def public():
    modulus = openssl("rsa", "-modulus", "-noout", data=made()[0].encode()).decode()
    return {"e": "AQAB", "kty": "RSA", "n": b64(bytes.fromhex(modulus.strip().split("=")[1]))}


def key_set():
    return json.dumps({"keys": [{**public(), "kid": "the-key", "alg": "RS256", "use": "sig"}]})


def x5c():
    return ["".join(certificate().strip().splitlines()[1:-1])]


def sign(header, payload):
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(payload).encode())
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as key:
        key.write(made()[0])
        key.flush()
        return text + "." + b64(openssl("dgst", "-sha256", "-sign", key.name, data=text.encode()))


def claims(access, **more):
    now = int(time.time())
    return {"iss": ISSUER, "aud": SERVICE, "sub": "ann", "exp": now + 86000, "nbf": now - 1000,
            "iat": now, "jti": "one", "access": access, **more}


def all_tokens(named=False):
    """Of each kind one, by its name. Those that are about something else than the key have it by
    its certificate, or by its name in the key set."""
    everything = [{"type": "repository", "name": name, "actions": ["pull", "push", "delete"]}
                  for name in ("no/such", "cmp/app")] + [
                      {"type": "registry", "name": "catalog", "actions": ["*"]}]

    def kid(name):
        return {"typ": "JWT", "alg": "RS256", "kid": name}

    certified = {"typ": "JWT", "alg": "RS256", "x5c": x5c()}
    chain = kid("the-key") if named else certified

    def app(*actions, name="no/such"):
        return [{"type": "repository", "name": name, "actions": list(actions)}]

    good = sign(chain, claims(everything))
    past = int(time.time()) - 5000
    return {
        "good": good,
        "chain": sign(certified, claims(everything)),
        "fingerprint": sign(kid(key_ids()["fingerprint"]), claims(everything)),
        "thumbprint": sign(kid(key_ids()["thumbprint"]), claims(everything)),
        "named-key": sign(kid("the-key"), claims(everything)),
        "unknown-key": sign(kid("another"), claims(everything)),
        "no-key": sign({"typ": "JWT", "alg": "RS256"}, claims(everything)),
        "embedded-key": sign({"typ": "JWT", "alg": "RS256", "jwk": public()}, claims(everything)),
        **{f"embedded-{name}": sign({"typ": "JWT", "alg": "RS256",
                                     "jwk": {**public(), "kid": id_}}, claims(everything))
           for name, id_ in {**key_ids(), "named-key": "the-key"}.items()},
        "no-type": sign({k: v for k, v in chain.items() if k != "typ"}, claims(everything)),
        "audience-list": sign(chain, claims(everything, aud=["x", SERVICE])),
        "audience-other": sign(chain, claims(everything, aud="x")),
        "issuer-other": sign(chain, claims(everything, iss="x")),
        "expired": sign(chain, claims(everything, exp=past)),
        "not-yet": sign(chain, claims(everything, nbf=past + 90000)),
        "without-expiry": sign(chain, {k: v for k, v in claims(everything).items() if k != "exp"}),
        "without-subject": sign(chain, {k: v for k, v in claims(everything).items() if k != "sub"}),
        "no-access": sign(chain, claims([])),
        "null-access": sign(chain, claims(None)),
        "pull": sign(chain, claims(app("pull"))),
        "push": sign(chain, claims(app("push"))),
        "star": sign(chain, claims(app("*"))),
        "other-repository": sign(chain, claims(app("pull", "push", name="cmp/app"))),
        "wrong-signature": good[:-8] + ("AAAAAAAA" if good[-8:] != "AAAAAAAA" else "BBBBBBBB"),
        "no-signature": ".".join(good.split(".")[:2]) + ".",
        "algorithm-none": b64(b'{"alg":"none","typ":"JWT"}') + "." + good.split(".")[1] + ".",
        "two-parts": ".".join(good.split(".")[:2]),
        "word": "x",
    }
