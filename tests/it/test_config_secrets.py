# SPDX-License-Identifier: Apache-2.0
"""No secret in anything that berth prints: each key that the schema calls a secret (`writeOnly`),
and credentials in URLs, with a canary for a value; check, dump, what serve says and logs."""

import json
import os
import signal
import subprocess

import pytest
import requests
import yaml

from harness import binary, wait_for
from registry_client import Registry

CANARY = "canary5ecret"
URL = f"://user:{CANARY}@127.0.0.1:1/x?token={CANARY}"
# Keys that hold a URL, or an address where a URL may be put by mistake.
URLS = ["http.host", "http.addr", "http.debug.addr", "http.prefix", "auth.token.realm",
        "notifications.endpoints.[].url", "health.http.[].uri", "health.tcp.[].addr",
        "proxy.remoteurl", "redis.addr", "redis.addrs",
        "storage.s3.regionendpoint", "storage.swift.authurl", "reporting.bugsnag.endpoint",
        "log.hooks.[].options.smtp.addr", "http.draintimeout", "log.level", "catalog.maxentries",
        "storage.delete.enabled", "storage.cache.manifests", "http.trustedproxies", "storage",
        "auth", "http.tls.minimumtls", "version", "http.listeners.[].addr"]
ENOUGH = {"auth.token": {"realm": "https://a/", "service": "a", "issuer": "a", "jwks": "/none"},
          "proxy": {"remoteurl": "https://a/"}}


def walk(schema, path=()):
    """(path, schema) of every secret; "[]" for the elements of a list, "*" for any key."""
    if schema.get("writeOnly"):
        yield path, schema
        return
    for key, child in schema.get("properties", {}).items():
        yield from walk(child, (*path, key))
    if "items" in schema:
        yield from walk(schema["items"], (*path, "[]"))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], (*path, "*"))


def tree(path, value):
    for key in reversed(path):
        value = [value] if key == "[]" else {"any" if key == "*" else key: value}
    return value


def merge(a, b):
    for key, value in b.items():
        if isinstance(value, dict) and isinstance(a.get(key), dict):
            merge(a[key], value)
        else:
            a.setdefault(key, value)
    return a


def document(path, value):
    out = {"version": 0.1}
    for section, more in ENOUGH.items():
        if path[:len(section.split("."))] == tuple(section.split(".")):
            merge(out, tree(tuple(section.split(".")), dict(more)))
    return {**out, **merge(tree(path, value), out)}


SECRETS = list(walk(json.loads(subprocess.run([binary(), "config", "schema"], check=True,
                                              capture_output=True).stdout)))


def clean(env=None):
    return {**{k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}, **(env or {})}


def said(path, env=None, flags=()):
    out = ""
    for command in (["config", "check"], ["config", "check", "--strict"], ["config", "dump"],
                    ["config", "dump", "--show-origin"]):
        r = subprocess.run([binary(), *command, str(path), *flags], capture_output=True, text=True,
                           errors="replace", timeout=60, env=clean(env))
        assert r.returncode in (0, 1), r.stderr
        out += r.stdout + r.stderr
    return out


def test_there_are_secrets():
    names = {".".join(p) for p, _ in SECRETS}
    assert {"http.secret", "notifications.endpoints.[].headers", "health.http.[].headers",
            "redis.password", "redis.sentinelpassword", "proxy.password", "storage.s3.secretkey",
            "storage.azure.connectionstring", "storage.azure.credentials.secret",
            "storage.gcs.credentials", "storage.swift.password", "storage.swift.secretkey",
            "storage.oss.accesskeysecret", "log.hooks.[].options.smtp.password",
            "middleware.*.[].options", "reporting.bugsnag.apikey",
            "reporting.newrelic.licensekey", "redis.options.password"} <= names


def shapes(schema):
    """What a key gets: as it should be, and as it should not."""
    if "additionalProperties" in schema:
        yield {"X-Key": [CANARY]}
    yield CANARY
    yield [CANARY]
    yield {"a": CANARY}
    yield {"a": {"b": [CANARY, {"c": CANARY}]}}


@pytest.mark.parametrize("path, schema", SECRETS, ids=[".".join(p) for p, _ in SECRETS])
def test_no_secret_in_check_and_dump(path, schema, tmp_path):
    config = tmp_path / "config.yml"
    for shape in shapes(schema):
        doc = document(path, shape)
        config.write_text(yaml.safe_dump(doc))
        assert CANARY in config.read_text()
        assert CANARY not in said(config), config.read_text()


@pytest.mark.parametrize("value", [f"dXNlcjpw{CANARY}==", f"user:{CANARY}", CANARY * 3,
                                   '{"auths": {"h": {"auth": "%s"}}}' % CANARY])
def test_credentials_in_a_variable_that_is_ours(value, tmp_path):
    """REGISTRY_AUTH means something else to other programs."""
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\nauth: {silly: {realm: a, service: b}}\n")
    out = said(config, {"REGISTRY_AUTH": value})
    assert "berth knows no kind of login" in out and CANARY not in out, out


@pytest.mark.parametrize("key", URLS)
@pytest.mark.parametrize("url", ["http" + URL, "ftp" + URL, URL[3:], f"u:{CANARY}@",
                                 f"http://u:{CANARY}@/", f"https://{CANARY}@h:99999/"])
def test_no_credentials_of_a_url(key, url, tmp_path):
    if key == "auth.token.realm" and "://" not in url:
        return  # text that every client is shown
    config = tmp_path / "config.yml"
    doc = document(tuple(key.split(".")), [url] if key.endswith(("addrs", "proxies")) else url)
    config.write_text(yaml.safe_dump(doc))
    out = said(config)
    secret = CANARY if "?" not in url else f":{CANARY}@"
    if key.endswith((".url", ".uri")):
        secret = CANARY  # the query too
    assert secret not in out, out


@pytest.mark.parametrize("text", [
    "notifications: {endpoints: [{url: 'http://h/', pasword: %s, Headers: {A: [%s]}}]}",
    "notifications: {endpoints: [{url: 'http://h/', ignore: {actions: [pull], token: %s}}]}",
    "health: {http: [{uri: 'http://h/', header: {Authorization: [%s]}}]}",
    "http: {secrett: %s, listeners: [{addr: ':0', secret: %s}]}",
    "proxi: {password: %s}", "storage: {s4: {secretkey: %s}}", "database: {password: %s}",
    "http: {secret: [%s", "http: {secret: \"%s\\q\"}", "http: {secret: %s: b}",
    "http: {secret: '%s', secret: '%s'}", "http: {secret: !t %s}", "http: {secret: &%s x}",
    "http: {secret: *%s}", "http: {secret: %s\tx\x01}", "? %s@: a\n: b",
])
def test_no_secret_of_a_mistake(text, tmp_path):
    """Keys that nobody knows, which are close to one that is a secret; text that is no YAML."""
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\n" + text.replace("%s", CANARY) + "\n")
    assert CANARY not in said(config)


@pytest.mark.parametrize("name, value", [
    ("REGISTRY_HTTP_SECRET", CANARY), ("REGISTRY_HTTP_SECRET", f"[{CANARY}"),
    ("REGISTRY_HTTP_SECRET", f"{{{CANARY}: a, {CANARY}: b}}"), ("REGISTRY_HTTP_SECRET", f"*{CANARY}"),
    ("REGISTRY_HTTP_SECRET_FILE", CANARY), ("REGISTRY_REDIS_PASSWORD", f"&{CANARY}"),
    ("REGISTRY_REDIS_OPTIONS_PASSWORD", CANARY), ("REGISTRY_PROXY_PASSWORD", CANARY),
    ("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS_AUTHORIZATION", f"Bearer {CANARY}"),
    ("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS", f"Authorization {CANARY}"),
    ("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL", f"ftp://u:{CANARY}@h/"),
    ("REGISTRY_NOTIFICATIONS", f"{{endpoints: [{{url: 'http://u:{CANARY}@h/', pass: {CANARY}}}]}}"),
    ("REGISTRY_STORAGE", f"s3://key:{CANARY}@bucket"), ("REGISTRY_AUTH", f"basic://a:{CANARY}@x"),
    ("REGISTRY_STORAGE_S3_SECRETKEY", CANARY), ("REGISTRY_STORAGE_S3_SECRETKY", CANARY),
    ("REGISTRY_HTTP_SECRETT", CANARY), ("REGISTRY_SECRET", f"[{CANARY}"),
    ("OTEL_EXPORTER_OTLP_HEADERS", f"key={CANARY}"),
])
def test_no_secret_of_a_variable(name, value, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\n")
    assert CANARY not in said(config, {name: value})


@pytest.mark.parametrize("flag", [
    f"--http.secret={CANARY}", f"--http.secrt={CANARY}", f"--redis.password={CANARY}",
    f"--notifications.endpoints.0.headers.Authorization=[{CANARY}",
    f"--notifications.endpoints.0.url=u:{CANARY}@h", f"--http.host=https://u:{CANARY}@h",
    f"--health.http=[{{uri: 'http://u:{CANARY}@/'}}]",
])
def test_no_secret_of_a_flag(flag, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\n")
    assert CANARY not in said(config, flags=[flag])


# --- a server ---

def test_serve_refuses_without_a_secret(tmp_path):
    """Everything that is a secret, in one file that cannot be used: all that it says."""
    doc = {"version": 0.1}
    for path, schema in SECRETS:
        merge(doc, tree(path, next(shapes(schema))))
    doc["health"]["http"] = [{"uri": "ftp" + URL, "headers": {"A": [CANARY]}}]
    doc["notifications"]["endpoints"][0]["url"] = "ftp" + URL
    config = tmp_path / "config.yml"
    config.write_text(yaml.safe_dump(doc))
    for strict in ([], ["--strict"]):
        r = subprocess.run([binary(), "serve", *strict, str(config), "--http.addr=127.0.0.1:0"],
                           capture_output=True, text=True, timeout=60, env=clean(), cwd=tmp_path)
        assert r.returncode not in (0, 99), r.stderr
        assert "health.http" in r.stdout + r.stderr
        assert CANARY not in r.stdout + r.stderr


def test_a_running_server_says_no_secret(fresh_berth, tmp_path):
    """Endpoints and checks that fail, each with credentials in its URL and in its headers."""
    doc = {"version": 0.1}
    for path, schema in SECRETS:
        if path[0] not in ("storage", "proxy", "notifications", "health"):
            merge(doc, tree(path, next(shapes(schema))))
    url = "http" + URL
    merge(doc, {"log": {"level": "debug"}, "http": {"secret": CANARY},
                "notifications": {"endpoints": [{"name": "e", "url": url, "backoff": "10ms",
                                                 "headers": {"Authorization": [CANARY]},
                                                 "timeout": "100ms", "threshold": 2}]},
                # A check is known by its URI without the login, in metrics too.
                "health": {"http": [{"uri": url.split("?")[0], "headers": {"A": [CANARY]}, "interval": "50ms",
                                     "threshold": 100000}]}})
    config = tmp_path / "config.yml"
    config.write_text(yaml.safe_dump(doc))
    server = fresh_berth(config=str(config))
    Registry(server.url).push_image("a/b", "latest")

    def failed():
        return server.metric_sum("registry_notifications_status_total") or \
            "deliver" in server.log() or server.metric_sum("registry_notifications_pending_total")

    wait_for(failed, 20, "a delivery that fails")
    wait_for(lambda: "127.0.0.1:1" in server.log(), 20, "a line about a check or an endpoint")
    told = [server.debug(p)[1] for p in ("/debug/health", "/metrics", "/readyz")]
    config.write_text(config.read_text().replace("threshold: 100000", "threshold: 100001"))
    server.signal(signal.SIGHUP)
    wait_for(lambda: "reload" in server.log().lower(), 20, "the reload")
    config.write_text(config.read_text().replace("http://user", "ftp://user"))
    server.signal(signal.SIGHUP)
    wait_for(lambda: "cannot be posted to" in server.log(), 20, "the reload that fails")
    told += [requests.get(server.url + p, timeout=20).text for p in ("/v2/", "/nothing")]
    told.append((server.base / "stdout").read_text())
    for text in [*told, server.log()]:
        assert CANARY not in text
