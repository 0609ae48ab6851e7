# SPDX-License-Identifier: Apache-2.0
"""Registry's `health` section: what fails turns every request into 503, and says so on the debug
listener; and what the debug listener does not tell."""

import http.server
import json
import os
import socket
import subprocess
import threading
import time

import pytest
import requests
from harness import binary, has_faults, wait_for
from registry_client import Registry, error_of


def configured(fresh_berth, tmp_path, health, **kw):
    path = tmp_path / "config.yml"
    path.write_text(json.dumps({"version": 0.1, "health": health}))
    return fresh_berth(config=path, **kw)


def healthy(server):
    """None, or what /debug/health names."""
    status, text = server.debug("/debug/health")
    document = json.loads(text)
    assert (status == 200) == (document == {}), (status, text)
    assert status in (200, 503)
    return document or None


def test_without_checks(berth):
    r = requests.get(berth.debug_url + "/debug/health", timeout=20)
    assert (r.status_code, r.text) == (200, "{}")
    assert r.headers["Content-Type"] == "application/json"
    assert requests.get(berth.url + "/debug/health", timeout=20).status_code == 404
    for path in ("/debug/vars", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"):
        assert requests.get(berth.debug_url + path, timeout=20).status_code == 404, path


def test_a_file_takes_the_registry_away(fresh_berth, tmp_path):
    down = tmp_path / "down"
    server = configured(fresh_berth, tmp_path,
                        {"file": [{"file": str(down), "interval": "50ms"}]})
    r = Registry(server.url)
    r.push_image("a/b", "t")
    assert healthy(server) is None
    down.write_text("")
    wait_for(lambda: healthy(server), what="the check to fail")
    assert healthy(server) == {str(down): "file exists"}
    for method, path in (("GET", "/"), ("GET", "/v2/"), ("HEAD", "/v2/"), ("GET", "/v2/_catalog"),
                         ("GET", "/v2/a/b/tags/list"), ("GET", "/v2/a/b/manifests/t"),
                         ("POST", "/v2/a/b/blobs/uploads/"), ("DELETE", "/v2/a/b/manifests/t"),
                         ("OPTIONS", "/v2/a/b/manifests/t")):
        answer = r.request(method, path)
        assert answer.status_code == 503, (method, path)
        assert answer.headers["Retry-After"]
        if method != "HEAD":
            entry = error_of(answer, 503, "UNAVAILABLE")
            assert entry["detail"] == "health check failed: please see /debug/health"
    # Whoever restarts the process by its probes does not restart it for this.
    for path in ("/livez", "/startupz"):
        assert server.debug(path)[0] == 200
    assert server.debug("/readyz") == (503, "a health check fails: see /debug/health\n")
    assert server.metrics()[f'berth_health_check_up{{check="{down}"}}'] == 0
    down.unlink()
    wait_for(lambda: healthy(server) is None, what="the check to succeed")
    assert r.get("/v2/a/b/manifests/t").status_code == 200
    assert server.metrics()[f'berth_health_check_up{{check="{down}"}}'] == 1
    lines = wait_for(lambda: (lambda found: found if len(found) > 1 else None)(
        [x["msg"] for x in server.records() if x.get("check") == str(down)]), what="the second line")
    assert len(lines) == 2 and "fails" in lines[0] and "succeeds again" in lines[1]


class Other(http.server.BaseHTTPRequestHandler):
    status = 204
    seen = []

    def do_HEAD(self):
        Other.seen.append((self.path, self.headers.get("X-Who"), self.headers.get("Authorization")))
        self.send_response(Other.status)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_others(fresh_berth, tmp_path):
    """Services that the registry depends on, one of them with a login."""
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % listener.getsockname()[1]
    place = "127.0.0.1:%d/up" % other.server_port
    server = configured(fresh_berth, tmp_path, {
        "http": [{"uri": f"http://user:hunter2@{place}", "statuscode": 204, "interval": "50ms",
                  "timeout": "5s", "threshold": 2, "headers": {"X-Who": ["berth"]}}],
        "tcp": [{"addr": address, "interval": "50ms", "timeout": "5s"}]})
    try:
        wait_for(lambda: len(Other.seen) > 3, what="some checks")
        assert Other.seen[0] == ("/up", "berth", "Basic dXNlcjpodW50ZXIy")
        assert healthy(server) is None
        Other.status = 500
        wait_for(lambda: healthy(server), what="the HTTP check to fail")
        assert healthy(server) == {
            f"http://{place}":
                f"http://{place}: downstream service returned unexpected status: 500"}
        listener.close()
        wait_for(lambda: len(healthy(server) or {}) == 2, what="the TCP check to fail")
        assert healthy(server)[address] == f"{address}: connection failed: Connection refused"
        Other.status = 204
        wait_for(lambda: list(healthy(server) or {}) == [address], what="one check to succeed")
        assert requests.get(server.url + "/v2/", timeout=20).status_code == 503
        assert "hunter2" not in server.log() + server.debug("/metrics")[1]
    finally:
        other.shutdown()
        other.server_close()


@pytest.mark.skipif(not has_faults(binary()), reason="a build without fault points")
def test_the_storage_is_written_to(fresh_berth, tmp_path):
    """A full disk is seen; and a probe that fails once does not keep the registry away."""
    server = configured(fresh_berth, tmp_path,
                        {"storagedriver": {"enabled": True, "interval": "400ms"}}, start=False)
    server.env["BERTH_FAULTS"] = "store.probe=ENOSPC@1"
    server.start()
    wait_for(lambda: any("a health check fails" in x.get("msg", "") for x in server.records()),
             what="the failure")
    wait_for(lambda: healthy(server) is None, what="the next probe")
    said = [x for x in server.records() if x.get("check") == "storagedriver_filesystem"]
    assert "No space left" in said[0]["reason"]
    assert server.metrics()['berth_health_check_up{check="storagedriver_filesystem"}'] == 1
    Registry(server.url).push_image("a/b", "t")
    assert not (server.data / "probe").exists()


def test_the_storage_beside_traffic(fresh_berth, tmp_path):
    """The probe as often as it can be, and pushes meanwhile: none is disturbed."""
    server = configured(fresh_berth, tmp_path,
                        {"storagedriver": {"enabled": True, "interval": "1ms"}})
    r = Registry(server.url)
    for i in range(20):
        r.push_blob("a/b", os.urandom(100_000))
        r.push_image("a/b", f"t{i}")
    assert healthy(server) is None
    assert server.metrics()["berth_store_read_only"] == 0


def test_a_hanging_check_keeps_nobody_waiting(fresh_berth, tmp_path):
    """An address that answers nothing: the other check goes on, and the end does not wait."""
    hole = socket.create_server(("127.0.0.1", 0), backlog=0)
    fill = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(hole.getsockname())
        fill.append(s)
    address = "127.0.0.1:%d" % hole.getsockname()[1]
    down = tmp_path / "down"
    server = configured(fresh_berth, tmp_path, {
        "tcp": [{"addr": address, "interval": "50ms", "timeout": "600s"}],
        "file": [{"file": str(down), "interval": "50ms"}]})
    down.write_text("")
    wait_for(lambda: healthy(server), what="the file check")
    down.unlink()
    wait_for(lambda: healthy(server) is None, what="the file check")
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 30
    for s in (hole, *fill):
        s.close()


@pytest.mark.parametrize("health, said", [
    ({"tcp": [{"addr": "localhost"}]}, "health.tcp"),
    ({"http": [{"uri": "ftp://example/"}]}, "begins with http:// or https://"),
    ({"file": [{"file": "/a"}, {"file": "/a"}]}, "/a is there twice"),
])
def test_what_cannot_be_asked(tmp_path, health, said):
    path = tmp_path / "config.yml"
    path.write_text(json.dumps({
        "version": 0.1, "health": health, "http": {"addr": "127.0.0.1:0"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}}}))
    r = subprocess.run([binary(), "serve", str(path)], capture_output=True, text=True, timeout=60)
    assert r.returncode != 0
    assert said in r.stderr, r.stderr


def test_the_command_does_not_wait_for_ever(tmp_path):
    """Somebody listens and says nothing: on a Unix socket too."""
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "s"))
        mute.listen(1)
        path = tmp_path / "config.yml"
        path.write_text(json.dumps({
            "version": 0.1, "storage": {"filesystem": {"rootdirectory": str(tmp_path)}},
            "http": {"addr": "127.0.0.1:0", "debug": {"addr": f"unix:{tmp_path / 's'}"}}}))
        r = subprocess.run([binary(), "health", path], capture_output=True, text=True, timeout=40,
                           check=False)
        assert (r.returncode, r.stdout) == (1, "")
        assert "no answer in 5 seconds" in r.stderr
