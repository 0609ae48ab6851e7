# SPDX-License-Identifier: Apache-2.0
"""What a client, a reader of the log or a slow disk must not be able to do to the process. Each is
a finding of a review; those that need no process are in tests/unit/http/test_server_abuse.c."""

import os
import signal
import socket
import subprocess
import time

import pytest
from harness import binary, has_faults, wait_for
from rawhttp import Client, connect

LIST = b"GET /v2/_catalog HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
needs_faults = pytest.mark.skipif(not has_faults(binary()), reason="needs the fault points")


def test_a_body_refused_by_its_last_read(berth):
    """That read also brings the body's end and a request for a worker, which began in the memory
    of the one that was just answered."""
    for _ in range(5):
        with Client(berth.host, berth.port) as c:
            c.sock.sendall(LIST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
            time.sleep(0.05)
            c.sock.sendall(b"F000\r\n" + b"x" * 0xf000 + b"\r\n")
            time.sleep(0.1)
            c.sock.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n0\r\n\r\n" + LIST)
            assert c.read().status == 413
            assert c.read().status == 200
    assert berth.alive()


@pytest.fixture
def unread(fresh_berth):
    """A server whose access log nobody reads."""
    server = fresh_berth(start=False)
    r, w = os.pipe()
    process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=w,
                               stderr=open(server.log_path, "wb"), env=server.environment(),
                               cwd=server.base)
    os.close(w)
    out = os.fdopen(r, "rb")
    for line in iter(out.readline, b""):
        if line.startswith(b"listening: http://"):
            server.host, port = line.split(b"//")[1].decode().strip().rsplit(":", 1)
            server.port = int(port)
        if line.startswith(b"debug: "):
            server.debug_url = line.split()[1].decode()
        if line.startswith(b"data: "):
            break
    wait_for(lambda: server.debug("/readyz")[0] == 200, 60)
    server.process = process
    yield server, out
    out.close()
    if process.poll() is None:
        process.kill()
    process.wait()
    server.process = None


def test_a_log_that_nobody_reads_stops_nothing(unread):
    server, out = unread
    path = b"/" + b"p" * 900
    request = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"u" * 900 + b"\r\n\r\n"
    asked = 0
    with Client(server.host, server.port) as c:
        while not server.metrics()['berth_log_dropped_total{log="access"}']:
            assert asked < 20_000
            for _ in range(200):
                assert c.ask(request).status == 404
            asked += 200
        assert c.ask(LIST).status == 200
    assert server.debug("/livez")[0] == 200
    # The reader comes back, and learns what is missing.
    lines = 0
    for line in iter(out.readline, b""):
        if b"log lines were dropped" in line:
            break
        lines += b'"msg":"request"' in line
    assert 400 < lines < asked
    # And a reader that is stuck does not hold the end up for long.
    with Client(server.host, server.port) as c:
        for _ in range(200):
            assert c.ask(request).status == 404
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert time.monotonic() - start < 10


@needs_faults
def test_a_second_signal_ends_a_step_that_hangs(fresh_berth, tmp_path):
    path = tmp_path / "s"
    server = fresh_berth(addr=f"unix:{path}", env={"BERTH_FAULTS": "upload.row=sleep60000"})
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.sendall(POST)
    wait_for(lambda: server.metric_sum("registry_http_in_flight_requests") == 1)
    server.signal(signal.SIGTERM)
    # The socket is gone while what runs is waited for: clients need not wait too.
    wait_for(lambda: not path.exists())
    with pytest.raises(OSError):
        socket.socket(socket.AF_UNIX).connect(str(path))
    assert server.alive()
    time.sleep(0.2)  # a repeat within 100 ms would be the same wish
    server.signal(signal.SIGTERM)
    start = time.monotonic()
    assert server.wait(20) == 1
    assert time.monotonic() - start < 5
    assert "second signal" in server.log()
    sock.close()


@needs_faults
def test_a_signal_ends_the_wait_for_a_job(fresh_berth):
    server = fresh_berth()
    server.stop()
    # What a restart finds and removes, slowly.
    for i in range(3):
        (server.data / "uploads" / f"{i:032x}").write_bytes(b"x")
    server.env["BERTH_FAULTS"] = "stage.unlink=sleep60000"
    server.start()
    time.sleep(0.5)
    end = time.monotonic() + 20
    while server.alive() and time.monotonic() < end:
        server.signal(signal.SIGTERM)
        time.sleep(0.5)
    assert not server.alive()


def test_the_debug_listener_has_connections_of_its_own(fresh_berth):
    server = fresh_berth(options={"http.limits.connections": "5"})
    held = [connect(server.host, server.port) for _ in range(20)]
    wait_for(lambda: server.metrics()["berth_http_connections"] >= 5)
    assert server.debug("/livez")[0] == 200
    for sock in held:
        sock.close()


def test_few_descriptors_are_shared(fresh_berth):
    """As many connections as the limit can bear, and what they need beside their socket."""
    server = fresh_berth(nofile=600)
    held = []
    for _ in range(500):
        held.append(connect(server.host, server.port))
    wait_for(lambda: server.metrics()["berth_http_connections"] >= 50)
    time.sleep(0.3)
    assert server.debug("/livez")[0] == 200
    assert len(os.listdir(f"/proc/{server.pid}/fd")) < 300
    assert server.metrics()["berth_http_connections"] >= 50
    for sock in held:
        sock.close()
    with Client(server.host, server.port) as c:
        assert wait_for(lambda: c.ask(POST).status == 202)


@pytest.mark.parametrize("name", ["head", "idle", "stall"])
def test_no_timeout_is_zero(fresh_berth, name):
    server = fresh_berth(start=False, options={f"http.timeouts.{name}": "0"})
    done = subprocess.run(server.command(), env=server.environment(), cwd=server.base,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"http.timeouts.{name}" in done.stderr and "100ms" in done.stderr


def test_a_dripping_body_does_not_hold_a_drain_up(fresh_berth):
    server = fresh_berth()
    sock = connect(server.host, server.port)
    sock.sendall(b"PUT /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
    assert sock.recv(4096).startswith(b"HTTP/1.1 404 ")
    server.signal(signal.SIGTERM)
    start = time.monotonic()
    while server.alive() and time.monotonic() - start < 15:
        try:
            sock.sendall(b"x")
        except OSError:
            break
        time.sleep(0.2)
    assert server.wait(10) == 0
    assert time.monotonic() - start < 12
    sock.close()


def test_answers_that_nobody_reads_have_a_time(fresh_berth):
    """100s fill the window of a client that never reads: the connection ends all the same."""
    server = fresh_berth(options={"http.timeouts.stall": "1s"})
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    sock.settimeout(1)
    sock.connect((server.host, server.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = (b"PUT /v2/a/b/manifests/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Content-Length: 2\r\n\r\n")
    try:
        for _ in range(1500):
            sock.sendall(head)
            time.sleep(0.003)
            sock.sendall(b"{}")
            time.sleep(0.003)
    except OSError:
        pass
    # The one that is asking is the other.
    wait_for(lambda: server.metrics()["berth_http_connections"] <= 1, 20)
    sock.close()
