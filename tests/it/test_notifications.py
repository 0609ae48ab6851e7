# SPDX-License-Identifier: Apache-2.0
"""Webhooks: what is told, in which form, how often, and `berth events`. The endpoints are servers
of the test; where docker-registry is installed, its events and berth's are compared."""

import http.server
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
import yaml
from harness import binary, free_port, wait_for
from registry_client import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Registry, digest, image, index

EVENTS1 = "application/vnd.docker.distribution.events.v1+json"
EVENTS2 = "application/vnd.docker.distribution.events.v2+json"


class Hook:
    """An endpoint: keeps the requests it gets and answers as `status` says (a number, or "hang")."""

    def __init__(self, tls=None):
        hook = self
        self.requests = []  # (headers as a list of pairs, body)
        self.status = 200
        self.released = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                hook.requests.append((list(self.headers.items()), body))
                if hook.status == "hang":
                    hook.released.wait(60)
                    return
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def events(self):
        return [json.loads(body)["events"][0] for _, body in self.requests]

    def wait(self, n, seconds=30):
        wait_for(lambda: len(self.requests) >= n, seconds, f"{n} events")
        return self.events()


@pytest.fixture
def hook():
    h = Hook()
    yield h
    h.close()


def endpoint(hook, name="hook", **more):
    return {"name": name, "url": hook.url, "timeout": "5s", "threshold": 5, "backoff": "100ms",
            **more}


def configuration(path, *endpoints, **more):
    path.write_text(yaml.safe_dump({
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": "/nonexistent"}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0"},
        "notifications": {"endpoints": list(endpoints), **more},
    }))
    return path


@pytest.fixture
def told(fresh_berth, tmp_path, hook):
    """Starts a server that tells `hook`; more arguments are those of the endpoint."""

    def make(notifications=None, **more):
        config = configuration(tmp_path / "config.yml", endpoint(hook, **more),
                               **(notifications or {}))
        return fresh_berth(config=config)

    return make


def summary(event):
    t = event["target"]
    return (event["action"], t["repository"], t.get("tag"), t.get("digest") or None)


def settle(hook, seconds=1.2):
    """Nothing more comes."""
    n = len(hook.requests)
    time.sleep(seconds)
    assert len(hook.requests) == n, hook.events()[n:]


# --- what is told ---


def test_changes(told, hook):
    berth = told()
    r = Registry(berth.url)
    body = r.push_image("a/b", "v1", config=b"{}", layers=[b"layer"])
    manifest, config, layer = digest(body), digest(b"{}"), digest(b"layer")
    assert r.put_manifest("a/b", "v2", body).status_code == 201
    # One request, two tags: one event for each.
    assert r.put_manifest("a/b", manifest, body, query="?tag=v3&tag=v4").status_code == 201
    assert r.put_manifest("a/b", manifest, body).status_code == 201
    assert r.post(f"/v2/a/c/blobs/uploads/?mount={layer}&from=a/b").status_code == 201
    assert r.delete("/v2/a/b/manifests/v2").status_code == 202
    assert r.delete(f"/v2/a/b/manifests/{manifest}").status_code == 202
    assert r.delete(f"/v2/a/c/blobs/{layer}").status_code == 202
    # What fails is not told.
    assert r.delete("/v2/a/b/manifests/none").status_code == 404
    assert r.put_manifest("a/b", "bad", b"{}").status_code == 400
    events = hook.wait(14)
    settle(hook)
    assert [summary(e) for e in events] == [
        ("push", "a/b", None, config), ("push", "a/b", None, layer),
        ("push", "a/b", "v1", manifest), ("push", "a/b", "v2", manifest),
        ("push", "a/b", "v3", manifest), ("push", "a/b", "v4", manifest),
        ("push", "a/b", None, manifest), ("mount", "a/c", None, layer),
        ("delete", "a/b", "v2", None), ("delete", "a/b", None, manifest),
        ("delete", "a/b", "v1", None), ("delete", "a/b", "v3", None),
        ("delete", "a/b", "v4", None), ("delete", "a/c", None, layer),
    ]
    assert len({e["id"] for e in events}) == len(events)
    assert events[7]["target"]["fromRepository"] == "a/b"
    assert events[7]["target"]["size"] == events[7]["target"]["length"] == 5
    push = events[2]
    assert push["target"]["url"] == f"{berth.url}/v2/a/b/manifests/{manifest}"
    assert push["target"]["mediaType"] == OCI_MANIFEST
    assert push["target"]["length"] == len(body)
    assert "references" not in push["target"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", push["timestamp"])
    assert push["request"]["method"] == "PUT"
    assert push["request"]["host"] == f"127.0.0.1:{berth.port}"
    assert push["request"]["addr"].startswith("127.0.0.1:")
    assert push["request"]["useragent"].startswith("python-requests/")
    assert push["source"]["addr"] == f"{socket.gethostname()}:{berth.port}"
    metrics = berth.metrics()
    assert metrics['registry_notifications_events_total{endpoint="hook",type="Successes"}'] == 14
    assert metrics['registry_notifications_status_total{code="200 OK",endpoint="hook"}'] == 14


def test_pulls(told, hook):
    berth = told()
    r = Registry(berth.url)
    body = r.push_image("a/b", "v1")
    manifest, layer = digest(body), digest(b"layer")
    hook.wait(3)
    del hook.requests[:]
    for _ in range(3):  # from the database, then from the loop's cache
        assert r.manifest("a/b", "v1").status_code == 200
    assert r.manifest("a/b", manifest, "HEAD").status_code == 200
    assert r.manifest("a/b", "v1", headers={"If-None-Match": manifest}).status_code == 304
    assert r.manifest("a/b", "none").status_code == 404
    assert r.blob("a/b", layer).status_code == 200
    assert r.blob("a/b", layer, "HEAD").status_code == 200
    assert r.blob("a/b", layer, headers={"Range": "bytes=0-1"}).status_code == 206
    assert r.blob("a/b", layer, headers={"Range": "bytes=9-"}).status_code == 416
    assert r.blob("a/b", digest(b"none")).status_code == 404
    events = hook.wait(7)
    settle(hook)
    assert [summary(e) for e in events] == [("pull", "a/b", "v1", manifest)] * 3 + [
        ("pull", "a/b", None, manifest)] + [("pull", "a/b", None, layer)] * 3
    assert [e["request"]["method"] for e in events] == ["GET"] * 3 + ["HEAD", "GET", "HEAD", "GET"]
    assert all(e["target"]["mediaType"] == OCI_MANIFEST for e in events[:4])
    assert all(e["target"]["size"] == len(body) for e in events[:4])
    assert events[6]["target"]["size"] == 5


def test_references(told, hook):
    berth = told(notifications={"events": {"includereferences": True}})
    r = Registry(berth.url)
    body = r.push_image("a/b", "v1", config=b"{}", layers=[b"one", b"two"])
    child = {"mediaType": OCI_MANIFEST, "digest": digest(body), "size": len(body),
             "platform": {"architecture": "amd64", "os": "linux"}}
    ix = index([child])
    r.push_manifest("a/b", "ix", ix, OCI_INDEX)
    for _ in range(2):
        assert r.manifest("a/b", "v1").status_code == 200
    events = hook.wait(7)
    for event in (events[3], *events[5:]):
        assert event["target"]["tag"] == "v1"
        assert [d["digest"] for d in event["target"]["references"]] == [
            digest(b"{}"), digest(b"one"), digest(b"two")]
    assert events[4]["target"]["references"] == [child]


@pytest.mark.parametrize("form", [2, 3])
def test_envelope(told, hook, form):
    berth = told(notifications={"envelope": form},
                 headers={"X-Token": ["one", "two"], "Authorization": ["Bearer x"]})
    r = Registry(berth.url)
    dgst = r.push_blob("a/b", b"layer")
    assert r.delete(f"/v2/a/b/blobs/{dgst}").status_code == 202
    hook.wait(2)
    headers, body = hook.requests[0]
    assert ("Content-Type", EVENTS2 if form == 3 else EVENTS1) in headers
    assert ("X-Token", "one") in headers and ("X-Token", "two") in headers
    assert ("Authorization", "Bearer x") in headers
    event = json.loads(body)["events"][0]
    assert list(event) == ["id", "timestamp", "action", "target", "request", "actor", "source"]
    first = (["mediaType", "digest", "size"] if form == 3 else ["mediaType", "size", "digest"])
    assert list(event["target"]) == [*first, "length", "repository", "url"]
    assert list(event["request"]) == ["id", "addr", "host", "method", "useragent"]
    assert body == json.dumps(json.loads(body), indent=3)
    gone = hook.events()[1]["target"]
    assert list(gone) == (["mediaType", "digest", "size", "repository"] if form == 3
                          else ["digest", "repository"])


def test_filters(fresh_berth, tmp_path, hook):
    other = Hook()
    try:
        config = configuration(
            tmp_path / "config.yml",
            endpoint(hook, "types", ignoredmediatypes=["application/octet-stream"],
                     ignore={"mediatypes": [DOCKER_MANIFEST]}),
            endpoint(other, "actions", ignore={"actions": ["pull", "delete"]}),
            {"name": "off", "url": "http://127.0.0.1:1/", "disabled": True})
        berth = fresh_berth(config=config)
        r = Registry(berth.url)
        body = r.push_image("a/b", "v1")
        r.push_manifest("a/b", "d1", image(b"{}", [b"layer"], DOCKER_MANIFEST), DOCKER_MANIFEST)
        assert r.manifest("a/b", "v1").status_code == 200
        assert r.delete(f"/v2/a/b/manifests/{digest(body)}").status_code == 202
        events = hook.wait(4)
        settle(hook)
        assert [e["action"] for e in events] == ["push", "delete", "delete", "pull"] or \
            [e["action"] for e in events] == ["push", "pull", "delete", "delete"]
        assert [e["action"] for e in other.wait(4)] == ["push"] * 4
        settle(other, 0.3)
    finally:
        other.close()


def test_actor(fresh_berth, tmp_path, hook):
    """Who did it, and on whose URL."""
    config = configuration(tmp_path / "config.yml", endpoint(hook))
    document = yaml.safe_load(config.read_text())
    document["auth"] = {"silly": {"realm": "r", "service": "s"}}
    document["http"]["host"] = "https://registry.example.org"
    config.write_text(yaml.safe_dump(document))
    berth = fresh_berth(config=config)
    r = Registry(berth.url)
    r.session.headers["Authorization"] = "anything"
    location = r.start("a/b").replace("https://registry.example.org", berth.url)
    assert r.finish(location, digest(b"x"), b"x").status_code == 201
    event = hook.wait(1)[0]
    assert event["actor"] == {"name": "silly"}
    assert event["target"]["url"] == \
        f"https://registry.example.org/v2/a/b/blobs/{digest(b'x')}"


# --- how often, and when ---


def test_nothing_is_lost(told, hook):
    """The endpoint is away; the server is killed and started again: every push is told, in order."""
    hook.status = 503
    berth = told()
    r = Registry(berth.url)
    pushed = [r.push_blob("a/b", b"blob %d" % i) for i in range(20)]
    hook.wait(3)
    berth.kill9()
    berth.start()
    r = Registry(berth.url)
    pushed += [r.push_blob("a/b", b"later %d" % i) for i in range(5)]
    hook.status = 200
    before = len(hook.requests)
    wait_for(lambda: {e["target"]["digest"] for e in hook.events()[before:]} >= set(pushed), 30,
             "every event")
    seen = []
    for event in hook.events()[before:]:
        if event["target"]["digest"] not in seen:
            seen.append(event["target"]["digest"])
    assert seen == pushed
    assert '"hook"' in berth.log() and "does not take an event" in berth.log()


def test_stop_does_not_wait(told, hook):
    hook.status = "hang"
    berth = told(timeout="60s")
    Registry(berth.url).push_blob("a/b", b"x")
    hook.wait(1)
    start = time.monotonic()
    berth.stop()
    assert time.monotonic() - start < 10


def test_backlog_is_bounded(told, hook):
    hook.status = 500
    berth = told(notifications={"backlog": 10})
    r = Registry(berth.url)
    pushed = [r.push_blob("a/b", b"blob %d" % i) for i in range(30)]
    dropped = 'berth_notifications_dropped_total{endpoint="hook"}'
    wait_for(lambda: berth.metrics()[dropped] == 20, 30, "20 dropped")
    wait_for(lambda: berth.metrics()['registry_notifications_pending_total{endpoint="hook"}'] == 10,
             30, "10 waiting")
    # The endpoint's thread is at the oldest that is left by now, or gets there with its next try.
    wait_for(lambda: hook.events()[-1]["target"]["digest"] == pushed[20], 30, "the next one")
    before = len(hook.requests)
    hook.status = 200
    wait_for(lambda: hook.events()[-1]["target"]["digest"] == pushed[-1], 30, "the newest")
    told_now = [e["target"]["digest"] for e in hook.events()[before:]]
    assert told_now[-10:] == pushed[20:]
    assert "too many events wait" in berth.log()


def test_tls(fresh_berth, tmp_path):
    """Of an authority of one's own, which SSL_CERT_FILE names as for registry; not without it."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", "/CN=hook",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    hook = Hook((cert, key))
    try:
        config = configuration(tmp_path / "config.yml", endpoint(hook))
        berth = fresh_berth(config=config)
        Registry(berth.url).push_blob("a/b", b"x")
        wait_for(lambda: berth.metric_sum("registry_notifications_events_total", "Errors") > 0, 20,
                 "a refusal")
        assert not hook.requests
        berth.env["SSL_CERT_FILE"] = str(cert)
        berth.restart()
        hook.wait(1)
    finally:
        hook.close()


# --- berth events ---


def events_command(*args, env=None):
    return subprocess.run([binary(), "events", *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, env=env)


def listed(berth, *args):
    done = events_command("list", "--json", "--data", berth.data, *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_command(told, hook, tmp_path):
    berth = told()
    r = Registry(berth.url)
    pushed = [r.push_blob("a/b", b"blob %d" % i) for i in range(5)]
    hook.wait(5)
    wait_for(lambda: listed(berth)["endpoints"][0]["waiting"] == 0, 10, "an empty backlog")
    everything = listed(berth)
    assert [e["digest"] for e in everything["events"]] == pushed
    assert everything["endpoints"] == [
        {"name": "hook", "waiting": 0, "last_done": everything["events"][-1]["event"]}]
    assert listed(berth, "--endpoint", "hook")["events"] == []
    # Again from the third on, while the server runs.
    third = everything["events"][2]["event"]
    done = events_command("replay", "--endpoint=hook", f"--from={third}", "--data", berth.data)
    assert done.returncode == 0 and "3 events" in done.stdout, done.stderr
    assert [e["target"]["digest"] for e in hook.wait(8)][5:] == pushed[2:]
    settle(hook)
    # What is never taken is dropped.
    hook.status = 400
    r.push_blob("a/b", b"bad")
    good = r.push_blob("a/b", b"good")
    hook.wait(12)
    waiting = listed(berth, "--endpoint", "hook")
    assert [e["size"] for e in waiting["events"]] == [3, 4]
    assert waiting["endpoints"][0]["waiting"] == 2 and "since" in waiting["endpoints"][0]
    text = events_command("list", "--endpoint", "hook", "--data", berth.data)
    assert text.returncode == 0
    assert re.search(r"^hook +2 +\d{4}-\S+Z +\d+$", text.stdout, re.M)
    assert re.search(rf"^\d+ +\S+Z +push +a/b@{good}$", text.stdout, re.M)
    done = events_command("drop", "--endpoint", "hook", "--id", waiting["events"][0]["event"],
                          "--data", berth.data)
    assert done.returncode == 0 and "1 events dropped" in done.stdout, done.stderr
    hook.status = 200
    wait_for(lambda: hook.events()[-1]["target"]["digest"] == good, 20, "the good one")
    # Also while it does not run, and by the configuration.
    berth.stop()
    hook.status = 500
    env = {**berth.environment(), "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(berth.data)}
    done = events_command("replay", "--endpoint", "hook", "--from", third, tmp_path / "config.yml",
                          env=env)
    assert done.returncode == 0, done.stderr
    assert listed(berth)["endpoints"][0]["waiting"] == 5
    done = events_command("drop", "--endpoint", "hook", "--all", "--data", berth.data)
    assert done.returncode == 0 and "5 events dropped" in done.stdout
    assert listed(berth)["endpoints"][0]["waiting"] == 0


def test_command_errors(told, tmp_path):
    berth = told()
    data = ["--data", berth.data]
    usage = [[], ["show"], ["list", "a", "b"], ["list", "--bad"], ["list", "--endpoint"],
             ["replay", "--from", "1"], ["replay", "--endpoint", "hook"],
             ["drop", "--endpoint", "hook"], ["drop", "--endpoint", "hook", "--id", "1", "--all"],
             ["list", "--all"], ["list", "--from", "1"], ["drop", "--all"]]
    for args in usage:
        done = events_command(*args)
        assert done.returncode == 2, args
        assert "berth help events" in done.stderr and not done.stdout
    failing = [
        (["list", "--endpoint", "none", *data], "there is no endpoint none"),
        (["replay", "--endpoint", "none", "--from", "1", *data], "there is no endpoint none"),
        (["drop", "--endpoint", "none", "--all", *data], "there is no endpoint none"),
        (["replay", "--endpoint", "hook", "--from", "x", *data], "not the number of an event"),
        (["drop", "--endpoint", "hook", "--id", "0", *data], "not the number of an event"),
        (["replay", "--endpoint", "hook", "--from", "1", *data], "event 1"),
        (["list", "--data", tmp_path / "none"], "there is no database"),
        (["list", tmp_path / "none.yml"], "none.yml"),
    ]
    for args, says in failing:
        done = events_command(*args)
        assert done.returncode == 1, args
        assert says in done.stderr, done.stderr
    assert not (tmp_path / "none").exists()


def test_nobody_listens(fresh_berth):
    berth = fresh_berth()
    r = Registry(berth.url)
    r.push_image("a/b", "v1")
    assert r.manifest("a/b", "v1").status_code == 200
    assert listed(berth) == {"endpoints": [], "events": []}


def transactions(berth):
    return berth.metrics()["berth_meta_transactions_total"]


def cost_of_pushes(berth, n=10):
    r = Registry(berth.url)
    before = transactions(berth)
    for i in range(n):
        r.push_image("a/b", f"v{i}", config=b"{%d}" % i, layers=[b"layer %d" % i])
    return transactions(berth) - before


def test_cost(fresh_berth, told, hook):
    """An event is no transaction of its own, and a pull has none; what the endpoint's cursor and
    the pulls cost depends on the time, not on how many there are."""
    without = cost_of_pushes(fresh_berth())
    berth = told()
    start = time.monotonic()
    with_hook = cost_of_pushes(berth)
    # A cursor is saved at most ten times in a second.
    assert without <= with_hook <= without + 12 * (time.monotonic() - start) + 2
    hook.wait(30)
    time.sleep(0.5)
    r = Registry(berth.url)
    before, start = transactions(berth), time.monotonic()
    for _ in range(400):
        assert r.manifest("a/b", "v1").status_code == 200
    hook.wait(30 + 400, 60)
    time.sleep(0.3)
    assert transactions(berth) - before <= 25 * (time.monotonic() - start) + 5
    assert transactions(berth) - before < 200


# --- beside the real one ---


def normalized(hook):
    out = []
    for event in hook.events():
        event["id"] = event["timestamp"] = event["request"]["id"] = ""
        event["request"]["addr"] = event["request"]["host"] = ""
        event["source"] = {k: "" for k in event["source"]}
        if "url" in event["target"]:
            event["target"]["url"] = re.sub(r"//[^/]+", "", event["target"]["url"])
        out.append(json.dumps(event, indent=1))
    return out


def drive(url, hook):
    r = Registry(url)
    body = r.push_image("a/b", "v1", config=b"{}", layers=[b"layer"])
    manifest, layer = digest(body), digest(b"layer")
    ix = index([body])
    r.push_manifest("a/b", "ix", ix, OCI_INDEX)
    accept = {"Accept": OCI_MANIFEST}
    assert r.manifest("a/b", "v1", headers=accept).status_code == 200
    assert r.manifest("a/b", manifest, "HEAD", headers=accept).status_code == 200
    assert r.manifest("a/b", "v1", headers={"If-None-Match": f'"{manifest}"', **accept}
                      ).status_code == 304
    assert r.blob("a/b", layer).status_code == 200
    assert r.blob("a/b", layer, "HEAD").status_code == 200
    assert r.blob("a/b", layer, headers={"Range": "bytes=1-2"}).status_code == 206
    assert r.blob("a/b", layer, headers={"If-None-Match": f'"{layer}"'}).status_code == 304
    for _ in range(2):
        assert r.post(f"/v2/a/c/blobs/uploads/?mount={layer}&from=a/b").status_code == 201
    hook.wait(12)  # berth writes pulls a moment later: after what comes next, without this
    assert r.delete(f"/v2/a/b/manifests/{manifest}").status_code == 202
    assert r.delete(f"/v2/a/c/blobs/{layer}").status_code == 202


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="needs docker-registry")
def test_same_as_registry(told, hook, tmp_path):
    """The same requests: the same events, member by member in the same order; pulls may come a
    moment later than the changes beside them."""
    berth = told(notifications={"envelope": 2, "events": {"includereferences": True}})
    drive(berth.url, hook)
    hook.wait(15)
    theirs = Hook()
    config = configuration(tmp_path / "registry.yml", endpoint(theirs),
                           events={"includereferences": True})
    port = free_port()
    document = yaml.safe_load(config.read_text())
    document["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / "registry")
    document["http"]["addr"] = f"127.0.0.1:{port}"
    config.write_text(yaml.safe_dump(document))
    with open(tmp_path / "registry.log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        def up():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for(up, 20, "docker-registry")
        drive(f"http://127.0.0.1:{port}", theirs)
        theirs.wait(15)
        settle(hook, 0.5)
        # Which of what happened at about the same time comes first is not compared.
        assert sorted(normalized(hook)) == sorted(normalized(theirs))
        types = {dict(h)["Content-Type"] for h, _ in hook.requests + theirs.requests}
        assert types == {EVENTS1}
    finally:
        process.terminate()
        process.wait(20)
        theirs.close()
