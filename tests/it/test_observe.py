# SPDX-License-Identifier: Apache-2.0
"""What is seen from outside: metrics, the access log, request ids, health (DESIGN part 8)."""

import os
import re

from harness import TOP, wait_for
from registry_client import Raw, Registry, digest, image


def access_lines(server, rid):
    return [r for r in server.records() if rid in r.values()]


def test_request_id_is_the_logs(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    body = registry.push_image("a/b", "t")
    r = registry.manifest("a/b", "t")
    rid = r.headers["X-Request-Id"]
    line = wait_for(lambda: access_lines(server, rid), what="an access line")
    assert len(line) == 1
    text = str(line[0])
    assert "/v2/a/b/manifests/t" in text and "200" in text and "GET" in text
    assert str(len(body)) in text
    missing = registry.blob("a/b", digest(b"nope"))
    line = wait_for(lambda: access_lines(server, missing.headers["X-Request-Id"]))
    assert "404" in str(line[0])


def test_one_line_for_each_request(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    ids = [registry.get("/v2/").headers["X-Request-Id"] for _ in range(50)]
    # A client that leaves in the middle has its line too.
    with Raw(server.url) as c:
        c.send("PUT /v2/a/manifests/left HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    wait_for(lambda: all(len(access_lines(server, i)) == 1 for i in ids))
    wait_for(lambda: any("/v2/a/manifests/left" in str(r) for r in server.records()))


def test_a_clients_request_id_is_not_trusted_blindly(berth, registry):
    r = registry.get("/v2/", headers={"X-Request-Id": "x" * 5000})
    assert r.status_code in (200, 431)
    assert len(r.headers.get("X-Request-Id", "")) <= 128
    with Raw(berth.url) as c:
        c.request("GET", "/v2/", {"X-Request-Id": 'a"b\\c'})
        assert c.response()[0] == 200


def test_log_lines_cannot_be_forged(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    registry.get('/v2/a/tags/list?last=x%0a{"level":"error"}',
                 headers={"User-Agent": 'x"}\\n{"forged":1}'})
    r = registry.get("/v2/")
    wait_for(lambda: access_lines(server, r.headers["X-Request-Id"]))
    assert not any("forged" in record for record in server.records())


def test_secrets_are_not_logged(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    canary = "canary-7f3a"
    r = registry.get("/v2/", headers={"Authorization": f"Basic {canary}", "Cookie": f"a={canary}"})
    wait_for(lambda: access_lines(server, r.headers["X-Request-Id"]))
    assert canary not in server.log()


def test_access_log_can_be_switched_off(fresh_berth):
    server = fresh_berth(options={"log.accesslog.disabled": "true"})
    registry = Registry(server.url)
    rid = registry.get("/v2/").headers["X-Request-Id"]
    server.stop()
    assert rid not in server.log()


def test_metrics(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    body = registry.push_image("a/b", "t", layers=[os.urandom(100_000)])
    registry.manifest("a/b", "t")
    registry.manifest("a/b", digest(body))
    registry.blob("a/b", digest(b"nope"))
    registry.catalog()
    registry.tags("a/b")
    status, text = server.debug("/metrics")
    assert status == 200
    for name in ("registry_http_requests_total", "registry_http_in_flight_requests",
                 "registry_http_request_duration_seconds_bucket",
                 "registry_http_request_size_bytes_bucket",
                 "registry_http_response_size_bytes_bucket"):
        assert re.search(rf"^{name}\{{", text, re.M), name

    def total(handler, method, code):
        return server.metric_sum("registry_http_requests_total", f'handler="{handler}"',
                                 f'method="{method}"', f'code="{code}"')

    # A request is counted when its answer is out, so perhaps a moment after it came.
    wait_for(lambda: total("tags", "get", 200) == 1, what="the last request")
    assert total("manifest", "get", 200) == 2
    assert total("manifest", "put", 201) == 1
    assert total("blob", "get", 404) == 1
    assert total("catalog", "get", 200) == 1
    assert total("tags", "get", 200) == 1
    assert total("blob_upload", "post", 202) == 2
    assert total("blob_upload_chunk", "put", 201) == 2
    # The text is well-formed, and each family has its type.
    typed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    for line in text.splitlines():
        if line and not line.startswith("#"):
            m = re.match(r'([a-zA-Z_:][\w:]*)(\{[^}]*\})? (-?[\d.e+-]+|[+-]Inf|NaN)$', line)
            assert m, line
            name = m.group(1)
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in typed or typed.get(base) == "histogram", line


def test_storage_actions(fresh_berth):
    """registry's metric of its storage driver: what each access counts as, and that what is
    answered from memory is none."""
    server = fresh_berth()
    registry = Registry(server.url)
    large = os.urandom(100_000)

    def counts():
        name = "registry_storage_action_seconds_count"
        return {k: int(server.metric_sum(name, f'action="{k}"', 'driver="filesystem"')) for k in
                ("GetContent", "PutContent", "Reader", "Writer", "Stat", "List", "Move", "Delete")}

    def made(action):
        before = counts()
        action()
        return {k: n - before[k] for k, n in counts().items() if n != before[k]}

    assert registry.manifest("a/b", "none").status_code == 404
    pushed = made(lambda: registry.push_blob("a/b", large))
    assert pushed["Writer"] >= 2 and pushed["Move"] == 1 and pushed["Delete"] == 1, pushed
    assert pushed["PutContent"] >= 2, pushed  # the upload's beginning, and the commit
    body = image(b"{}", [large])
    registry.push_blob("a/b", b"{}")
    assert set(made(lambda: registry.push_manifest("a/b", "t", body))) == {"PutContent"}
    assert made(lambda: registry.manifest("a/b", "t")) == {"GetContent": 1}
    assert made(lambda: registry.manifest("a/b", "t")) == {}  # the cache of manifests
    assert made(lambda: registry.blob("a/b", digest(b"{}"))) == {"GetContent": 1}
    assert set(made(lambda: registry.blob("a/b", digest(large), "HEAD"))) == {"Stat"}
    assert made(lambda: registry.blob("a/b", digest(large)))["Reader"] == 1
    assert "Reader" not in made(lambda: registry.blob("a/b", digest(large)))  # it is still open
    assert made(lambda: registry.tags("a/b")) == {"List": 1}
    assert made(registry.catalog) == {"List": 1}
    assert made(lambda: registry.delete("/v2/a/b/manifests/t"))["Delete"] == 1
    assert server.metric_sum("registry_storage_action_seconds_sum", 'action="PutContent"') > 0


def test_every_metric_is_in_the_documentation(fresh_berth):
    server = fresh_berth()
    text = (TOP / "docs/metrics.md").read_text()
    families = re.findall(r"^# TYPE (\S+) ", server.debug("/metrics")[1], re.M)
    assert [f for f in families if f"`{f}" not in text] == []


def test_label_values_are_bounded(fresh_berth):
    """No name, tag, path, method or code that a client makes up becomes a series."""
    server = fresh_berth()
    registry = Registry(server.url)
    registry.push_image("warm/up", "t")
    for method in ("GET", "PUT", "FOO"):
        registry.request(method, "/v2/x/tags/list")
        registry.request(method, "/nothing")
    before = len(server.metrics())
    for k in range(100):
        registry.get(f"/v2/made-up-{k}/tags/list")
        registry.get(f"/made-up-{k}")
        registry.request(f"VERB{k}", "/v2/")
    after = server.metrics()
    assert len(after) <= before + 12
    assert not any("made-up" in key or "VERB" in key.upper() and "VERB1" in key for key in after)


def test_in_flight_returns_to_zero(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    registry.push_image("a", "t")
    with Raw(server.url) as c:
        c.send("GET /v2/a/manifests/t HTTP/1.1\r\nHost: x\r\n\r\n")
        c.abort()
    wait_for(lambda: server.metric_sum("registry_http_in_flight_requests") == 0)


def test_health(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    for path in ("/livez", "/readyz", "/startupz"):
        assert server.debug(path)[0] == 200, path
    assert server.debug("/nothing")[0] == 404
    # The public listener does not show the metrics, and the debug one does not serve the registry.
    assert registry.get("/metrics").status_code == 404
    assert server.debug("/v2/")[0] == 404


def test_probes_are_not_counted_as_registry_requests(fresh_berth):
    server = fresh_berth()
    before = server.metric_sum("registry_http_requests_total")
    for _ in range(10):
        server.debug("/livez")
    assert server.metric_sum("registry_http_requests_total") == before
