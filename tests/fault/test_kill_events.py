# SPDX-License-Identifier: Apache-2.0
"""kill -9 beside an endpoint of `notifications`: an event is there exactly when its change is. What
was acknowledged has one, what was not has one or none, none has two (I5), and each is told."""

import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from harness import binary, has_faults, wait_for
from oracle import GONE, Oracle, Pusher, check_database
from registry_client import Registry, digest, image

KILLS = 12
THREADS = 3


class Acknowledged(Oracle):
    """(repo, digest, tag) of each change that was acknowledged, or only sent; a blob has no tag."""

    def __init__(self):
        super().__init__()
        self.changes = []
        self.sent = set()

    def send(self, repo, dgst, tag=""):
        with self.lock:
            self.sent.add((repo, dgst, tag))

    def tag_sent(self, repo, tag, dgst):
        super().tag_sent(repo, tag, dgst)
        self.send(repo, dgst, tag)

    def blob(self, repo, dgst, data):
        super().blob(repo, dgst, data)
        with self.lock:
            self.changes.append((repo, dgst, ""))

    def manifest(self, repo, dgst, body, tag=None):
        super().manifest(repo, dgst, body, tag)
        with self.lock:
            self.changes.append((repo, dgst, tag or ""))


class Sender(Pusher):
    def push_blob(self, data):
        self.oracle.send(self.repo, digest(data))
        return super().push_blob(data)


class Hook:
    """Takes events, by their id; while `away` it refuses them."""

    def __init__(self):
        hook = self
        self.lock = threading.Lock()
        self.seen = {}
        self.away = False

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for event in json.loads(body)["events"] if not hook.away else []:
                    t = event["target"]
                    if event["action"] == "push":
                        with hook.lock:
                            hook.seen[event["id"]] = (t["repository"], t["digest"],
                                                      t.get("tag", ""))
                self.send_response(503 if hook.away else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def changes(self):
        with self.lock:
            return Counter(self.seen.values())


@pytest.fixture
def hook():
    h = Hook()
    yield h
    h.server.shutdown()
    h.server.server_close()


@pytest.fixture
def told(fresh_berth, tmp_path, hook):
    config = tmp_path / "config.yml"
    config.write_text(yaml.safe_dump({
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": "/nonexistent"}},
        "http": {"addr": "127.0.0.1:0"},
        "notifications": {"endpoints": [{"name": "hook", "url": hook.url, "timeout": "5s",
                                         "threshold": 5, "backoff": "50ms"}]}}))
    return fresh_berth(config=config, start=False)


def waiting(server):
    db = sqlite3.connect(f"file:{server.data / 'berth.db'}?mode=ro", uri=True)
    try:
        return db.execute("SELECT (SELECT coalesce(max(id), 0) FROM events) - "
                          "(SELECT position FROM cursors)").fetchone()[0]
    finally:
        db.close()


def check_events(server, hook, oracle):
    """On a running server whose endpoint is there."""
    wait_for(lambda: waiting(server) <= 0, 60, "the end of the backlog")
    told = hook.changes()
    for change in oracle.changes:
        assert told[change] == 1, f"{told[change]} events of the acknowledged {change}"
    twice = {c: n for c, n in told.items() if n > 1}
    assert not twice, twice
    assert set(told) <= oracle.sent
    registry = Registry(server.url)
    for repo, dgst, tag in oracle.sent - set(oracle.changes):
        # The answer was lost: there are both, or neither. (A tag that moves tells nothing.)
        r = registry.manifest(repo, tag, "HEAD") if tag else registry.blob(repo, dgst, "HEAD")
        if tag != "moving":
            assert (r.status_code == 200) == (told[repo, dgst, tag] == 1), (repo, dgst, tag)


def test_random_kills(told, hook):
    server, oracle = told.start(), Acknowledged()
    seed = int(os.environ.get("BERTH_SEED", str(random.SystemRandom().randrange(1 << 30))))
    print(f"\nBERTH_SEED={seed}")
    rng = random.Random(seed)
    kills = 0
    while kills < KILLS or len(oracle.changes) < 100:
        hook.away = kills % 3 == 1
        stop = threading.Event()
        pushers = [Sender(server.url, oracle, k, rng.random(), stop) for k in range(THREADS)]
        for p in pushers:
            p.start()
        time.sleep(rng.uniform(0.05, 0.5))
        stop.set()
        server.kill9()
        for p in pushers:
            p.join(60)
            assert not p.is_alive()
            assert not p.wrong, p.wrong
        kills += 1
        server.start()
    hook.away = False
    check_events(server, hook, oracle)
    oracle.check(server)
    server.stop()
    check_database(server)
    print(f"{kills} kills, {len(oracle.changes)} acknowledged changes, {len(hook.seen)} events")


@pytest.mark.parametrize("point", ["meta.begin", "meta.commit", "meta.committed", "push.pended",
                                   "push.live", "push.done", "manifest.put", "manifest.done"])
def test_kill_at(point, told, hook):
    """At every place around a commit: the client whose answer is lost does not come back."""
    if not has_faults(binary()):
        pytest.skip("the binary under test has no fault points")
    oracle = Acknowledged()
    for k in (1, 3):
        told.env["BERTH_FAULTS"] = f"{point}=kill@{4 * k if point.startswith('meta') else k}"
        told.start()
        registry = Registry(told.url)
        try:
            for i in range(4):
                config = os.urandom(100_000)  # large: a file, so the push has both transactions
                body = image(config, [])
                oracle.send("e/r", digest(config))
                registry.push_blob("e/r", config)
                oracle.blob("e/r", digest(config), config)
                oracle.send("e/r", digest(body), f"{k}-{i}")
                registry.push_manifest("e/r", f"{k}-{i}", body)
                oracle.manifest("e/r", digest(body), body, f"{k}-{i}")
        except (*GONE, AssertionError):
            pass
        assert told.wait(60) == -signal.SIGKILL
        told.process = None
        told.env.pop("BERTH_FAULTS")
        told.start()
        check_events(told, hook, oracle)
        unacknowledged = sum(hook.changes().values()) - len(oracle.changes)
        assert unacknowledged <= (1 if k == 1 else 2)
        told.stop()
    assert oracle.changes
    check_database(told)
