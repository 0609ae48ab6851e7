# SPDX-License-Identifier: Apache-2.0
"""Logins for tests: a token server in a few lines, htpasswd files, and configuration files in the
form of registry's config.yml."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

ISSUER = "the issuer"
SERVICE = "registry.example"
SECRET = b"a shared secret of some forty-two bytes..."


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def jwks(path):
    """A file with one key: the secret."""
    path.write_text(json.dumps({"keys": [{"kty": "oct", "kid": "shared", "k": b64(SECRET)}]}))
    return path


def entry(name, *actions, kind="repository"):
    return {"type": kind, "name": name, "actions": list(actions)}


def claims(*access, **more):
    now = int(time.time())
    return {"iss": ISSUER, "aud": SERVICE, "sub": "ann", "exp": now + 300, "nbf": now - 10,
            "iat": now, "access": list(access), **more}


def signed(header, payload, sign):
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(payload).encode())
    return f"{text}.{b64(sign(text.encode()))}"


def hs256(header, payload):
    return signed({"alg": "HS256", **header}, payload,
                  lambda text: hmac.new(SECRET, text, hashlib.sha256).digest())


def token(*access, **more):
    """A token by the shared secret."""
    return hs256({"typ": "JWT", "kid": "shared"}, claims(*access, **more))


def token_rs256(key, header, *access, **more):
    """A token by a private key in a file."""
    def sign(text):
        return subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=text,
                              check=True, capture_output=True, timeout=60).stdout
    return signed({"typ": "JWT", "alg": "RS256", **header}, claims(*access, **more), sign)


def bearer(text):
    return "Bearer " + text


def config(path, auth):
    """A config.yml of registry with this `auth` section; addresses and the storage come from the
    harness, as flags."""
    path.write_text("version: 0.1\nlog:\n  level: info\n" + auth)
    return path
