# SPDX-License-Identifier: Apache-2.0
"""The units: how exposed they are by systemd's own measure, which system calls berth makes beside
those that the filter allows, notification and watchdog, socket activation, and a run under a real
systemd with all of the hardening (machine.py), where the kernel allows one."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

import packages
import pytest
import requests
from harness import TOP, Berth, binary, free_port, wait_for
from machine import Machine
from registry_client import Registry

UNIT = TOP / "packaging/systemd/berth.service"


def analyze(*args):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *map(str, args)], capture_output=True, text=True,
                          timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})


def test_exposure():
    r = analyze("security", "--offline=true", "--no-pager", "--threshold=15", UNIT)
    level = re.search(r"Overall exposure level for berth.service: ([0-9.]+)", r.stdout)
    assert level, r.stdout + r.stderr
    assert float(level.group(1)) <= 1.5 and r.returncode == 0


def allowed_calls():
    """The system calls that the unit's filter lets through."""
    def expand(group, seen):
        if group in seen:
            return set()
        seen.add(group)
        found = set()
        for line in analyze("syscall-filter", group).stdout.splitlines()[1:]:
            word = line.strip()
            if word and not word.startswith("#"):
                found |= expand(word, seen) if word.startswith("@") else {word}
        return found

    calls = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
        listed = set()
        for word in line.lstrip("~").split():
            listed |= expand(word, set()) if word.startswith("@") else {word}
        calls = calls - listed if line.startswith("~") else calls | listed
    return calls | expand("@default", set())


def test_the_filter_lets_everything_through_that_berth_calls(tmp_path):
    """strace's own names; each call that the filter refuses has to be one that berth does without."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    server = Berth(tmp_path / "berth", kind="release", start=False)
    command = server.command()
    server.command = lambda: ["strace", "-f", "-qq", "-e", "signal=none", "-o", str(trace), *command]
    try:
        server.start()
        registry = Registry(server.url)
        body = os.urandom(300_000)
        dgst = registry.push_blob("a/b", body)
        assert registry.blob("a/b", dgst).content == body
        requests.get(server.debug_url + "/metrics", timeout=20)
        registry.push_blob("a/b", b"small")
        requests.delete(f"{server.url}/v2/a/b/blobs/{dgst}", timeout=20)
        child = int(subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True,
                                   check=True).stdout.split()[0])
        os.kill(child, signal.SIGHUP)
        time.sleep(0.5)
        os.kill(child, signal.SIGTERM)
        server.wait()
    finally:
        if server.alive():
            server.kill9()
    text = trace.read_text(errors="replace")
    made = set(re.findall(r"^\d+ +([a-z_][a-z0-9_]*)\(", text, re.M))
    assert {"openat", "epoll_wait", "fsync"} <= made | {"epoll_pwait"}
    # Only as root, which it is here and not there, SQLite gives a journal to the file's owner.
    refused = made - allowed_calls() - {"fchown"}
    assert refused == set(), refused


def notify_socket(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(str(path))
    s.settimeout(30)
    return s


def test_notification_and_watchdog(tmp_path):
    with notify_socket(tmp_path / "notify") as s:
        server = Berth(tmp_path / "berth", env={"NOTIFY_SOCKET": str(tmp_path / "notify"),
                                                "WATCHDOG_USEC": "3000000"}, start=False)
        try:
            server.spawn()
            said = []
            end = time.monotonic() + 30
            # Half of what systemd waits for, or more often; so at least three in two periods.
            while time.monotonic() < end and sum(m == "WATCHDOG=1" for _, m in said) < 4:
                for message in s.recv(4096).decode().splitlines():
                    said.append((time.monotonic(), message))
            words = [m for _, m in said]
            assert "READY=1" in words
            beats = [t for t, m in said if m == "WATCHDOG=1"]
            assert len(beats) >= 4, words
            assert max(b - a for a, b in zip(beats, beats[1:])) < 3.0, beats
            server.signal(signal.SIGTERM)
            while "STOPPING=1" not in words:
                words += s.recv(4096).decode().splitlines()
            server.wait()
        finally:
            if server.alive():
                server.kill9()
        server.check_log()


def test_no_watchdog_for_another_process(tmp_path):
    """WATCHDOG_PID names who is meant."""
    with notify_socket(tmp_path / "notify") as s:
        server = Berth(tmp_path / "berth", env={"NOTIFY_SOCKET": str(tmp_path / "notify"),
                                                "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
        try:
            s.settimeout(2)
            words = []
            try:
                while True:
                    words += s.recv(4096).decode().splitlines()
            except socket.timeout:
                pass
            assert "READY=1" in words and "WATCHDOG=1" not in words
        finally:
            server.stop()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_socket_activation(tmp_path, kind):
    """By systemd's own tool: it listens, and starts berth at the first connection."""
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("systemd-socket-activate is not installed")
    port = free_port()
    address = f"127.0.0.1:{port}" if kind == "tcp" else str(tmp_path / "socket")
    log = open(tmp_path / "log", "wb")
    process = subprocess.Popen(
        ["systemd-socket-activate", f"--listen={address}", "--fdname=http", "-E", "ASAN_OPTIONS",
         "-E", "UBSAN_OPTIONS", binary(), "serve", "--http.addr=127.0.0.1:1",
         "--http.debug.addr=127.0.0.1:0", f"--storage.filesystem.rootdirectory={tmp_path}/data"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=tmp_path)
    try:
        if kind == "tcp":
            wait_for(lambda: "Listening on" in (tmp_path / "log").read_text(), 20, "the tool")
            r = requests.get(f"http://{address}/v2/", timeout=60)
            assert r.status_code == 200
            Registry(f"http://{address}").push_blob("a/b", b"x" * 100_000)
        else:
            wait_for(lambda: (tmp_path / "socket").exists(), 20, "the socket")
            r = subprocess.run(["curl", "-sS", "-m", "60", "--unix-socket", address, "-o", "/dev/null",
                                "-w", "%{http_code}", "http://localhost/v2/"], text=True,
                               capture_output=True, timeout=90, check=False)
            assert r.stdout == "200", r.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "log").read_text()
        if kind == "unix":  # systemd's to remove
            assert (tmp_path / "socket").exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()
    text = (tmp_path / "log").read_text()
    assert "Sanitizer" not in text and "runtime error" not in text, text


# --- under systemd -----------------------------------------------------------------------------

URL = "http://127.0.0.1:5000"


@pytest.fixture(scope="module")
def machine():
    out, _ = packages.built()
    m = Machine(systemd=True)
    try:
        m.copy_in(packages.deb_of(out), "/tmp/berth.deb")
        m.run("dpkg", "-i", "/tmp/berth.deb")
        yield m
    finally:
        m.stop()


def show(machine, name, unit="berth.service"):
    return machine.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()


def journal(machine):
    return machine.run("journalctl", "--no-pager", "-o", "cat").stdout


def active(machine):
    return show(machine, "ActiveState") == "active"


def test_it_is_started_by_its_installation(machine):
    assert active(machine), journal(machine)[-3000:]
    assert show(machine, "UnitFileState") == "enabled"
    assert show(machine, "UnitFileState", "berth.socket") == "disabled"
    pid = show(machine, "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert machine.run("stat", "-c", "%U", f"/proc/{pid}").stdout == "berth\n"
    # This machine may not allow as many as the unit asks for.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = int(re.search(r"Max open files +(\d+)",
                          machine.run("cat", f"/proc/{pid}/limits").stdout).group(1))
    assert limit == 262144 or limit >= most


def test_the_kernel_is_left_alone(machine):
    """This machine's systemd is real, and the kernel is that of all of us."""
    machine.run("systemctl", "start", "systemd-sysctl", check=False)
    r = machine.run("sh", "-c", "cat /proc/sys/fs/file-max >/proc/sys/fs/file-max", check=False)
    assert r.returncode != 0 and "Read-only" in r.stderr
    r = machine.run("sh", "-c", "for f in /sys/kernel/mm/*/*; do test -w $f && echo $f; done",
                    check=False)
    assert not r.stdout


def test_push_and_pull_with_the_hardening(machine):
    machine.push(URL, "a/b", "1", 3_000_000)
    assert machine.fetched(URL, "a/b", "1") == 3_000_000
    machine.run("berth", "health", "http://127.0.0.1:5001/readyz")


def test_reload(machine):
    pid = show(machine, "MainPID")
    machine.run("systemctl", "reload", "berth")
    assert active(machine) and show(machine, "MainPID") == pid
    assert machine.fetched(URL, "a/b", "1") == 3_000_000


def test_restart_and_crash(machine):
    machine.run("systemctl", "restart", "berth")
    assert show(machine, "Result") == "success"
    assert machine.fetched(URL, "a/b", "1") == 3_000_000
    pid = show(machine, "MainPID")
    machine.run("kill", "-KILL", pid)
    wait_for(lambda: active(machine) and show(machine, "MainPID") not in (pid, "0"), 30, "a restart")
    assert machine.fetched(URL, "a/b", "1") == 3_000_000


def test_watchdog(machine):
    """A process that stands still is replaced; one that works is left alone."""
    machine.put("/etc/systemd/system/berth.service.d/short.conf", "[Service]\nWatchdogSec=4\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "berth")
    pid = show(machine, "MainPID")
    time.sleep(9)
    assert active(machine) and show(machine, "MainPID") == pid, journal(machine)[-2000:]
    machine.run("kill", "-STOP", pid)
    wait_for(lambda: active(machine) and show(machine, "MainPID") not in (pid, "0"), 60,
             "a restart by the watchdog")
    assert "Watchdog timeout" in journal(machine)
    assert machine.fetched(URL, "a/b", "1") == 3_000_000
    machine.sh("rm /etc/systemd/system/berth.service.d/short.conf; systemctl daemon-reload; "
               "systemctl restart berth")


def test_the_socket_unit(machine):
    """systemd listens, on a port below 1024 too; a restart refuses nobody."""
    machine.run("systemctl", "stop", "berth")
    machine.put("/etc/systemd/system/berth.socket.d/port.conf",
                "[Socket]\nListenStream=\nListenStream=127.0.0.1:80\n")
    machine.sh("systemctl daemon-reload; systemctl start berth.socket")
    assert not active(machine)
    assert machine.fetched("http://127.0.0.1", "a/b", "1") == 3_000_000
    assert active(machine)
    r = machine.sh("systemctl restart --no-block berth; for i in $(seq 40); do "
                   "curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' http://127.0.0.1/v2/; done",
                   check=False)
    assert r.stdout.split() == ["200"] * 40, r.stdout + r.stderr
    machine.sh("systemctl stop berth.socket berth; rm -r /etc/systemd/system/berth.socket.d; "
               "systemctl daemon-reload; systemctl start berth")
    assert active(machine)


def test_a_bad_configuration_is_named(machine):
    machine.sh("cp -p /etc/berth/config.yml /root/kept; printf 'nonsense: [\\n' >>/etc/berth/config.yml")
    try:
        r = machine.run("systemctl", "restart", "berth", check=False)
        assert r.returncode != 0
        assert re.search(r"config\.yml:\d+", journal(machine)[-3000:])
    finally:
        machine.sh("cp -p /root/kept /etc/berth/config.yml; systemctl reset-failed berth; "
                   "systemctl restart berth")
    assert active(machine)


def drop_in(title):
    """A sample of docs/systemd.md by its comment."""
    blocks = re.findall(r"```ini\n# (.*)\n((?:.*\n)*?)```", (TOP / "docs/systemd.md").read_text())
    return next(text for comment, text in blocks if comment.startswith(title))


@pytest.fixture
def dropped(machine):
    """Puts drop-ins and variables in place for one test."""
    def put(text, variables=""):
        machine.put("/etc/systemd/system/berth.service.d/test.conf", text)
        machine.put("/etc/default/berth", variables)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "berth")
        assert active(machine), journal(machine)[-2000:]

    yield put
    machine.sh("rm -rf /etc/default/berth /etc/systemd/system/berth.service.d; "
               "systemctl daemon-reload; systemctl reset-failed berth; systemctl restart berth")


def test_a_low_port_by_a_capability(machine, dropped):
    dropped(drop_in("A port below 1024"), "REGISTRY_HTTP_ADDR=127.0.0.1:81\n")
    assert machine.fetched("http://127.0.0.1:81", "a/b", "1") == 3_000_000


def test_fewer_addresses(machine, dropped, tmp_path):
    text = drop_in("Only these may reach it")
    dropped(text)
    assert machine.fetched(URL, "a/b", "1") == 3_000_000
    unit = tmp_path / "berth.service"
    unit.write_text(UNIT.read_text().replace("[Service]\n", text, 1))
    said = analyze("security", "--offline=true", "--no-pager", unit).stdout
    level = re.search(r"Overall exposure level for berth.service: ([0-9.]+)", said).group(1)
    assert f"systemd-analyze then says {level}" in (TOP / "docs/systemd.md").read_text()


def test_a_directory_of_registry_2(machine, dropped):
    """As docs/install.md says it: stopped, given to berth, named in the configuration."""
    if machine.run("sh", "-c", "command -v docker-registry", check=False).returncode:
        pytest.skip("docker-registry is not installed")
    machine.put("/root/registry.yml", "version: 0.1\nstorage: {filesystem: {rootdirectory: "
                "/var/lib/old-registry}}\nhttp: {addr: '127.0.0.1:5055'}\n")
    machine.sh("docker-registry serve /root/registry.yml >/root/registry.log 2>&1 & echo $! >/root/pid; "
               "for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:5055/v2/ && break; "
               "sleep 0.1; done")
    machine.push("http://127.0.0.1:5055", "old/image", "1", 500_000)
    machine.sh("kill $(cat /root/pid); cp -p /etc/berth/config.yml /root/kept; "
               "cat /root/registry.yml >/etc/berth/config.yml; chown -R berth: /var/lib/old-registry")
    try:
        dropped(drop_in("Data (or an adopted").replace("/srv/registry", "/var/lib/old-registry"))
        assert machine.fetched("http://127.0.0.1:5055", "old/image", "1") == 500_000
    finally:
        machine.sh("cp -p /root/kept /etc/berth/config.yml")


def test_its_removal_stops_it(machine):
    machine.run("dpkg", "--remove", "berth")
    assert machine.run("pidof", "berth", check=False).returncode != 0
    assert machine.run("systemctl", "is-failed", "berth", check=False).stdout.strip() != "failed"
