# SPDX-License-Identifier: Apache-2.0
"""Starting: how fast, what it says, where it keeps its data, and what it refuses; and the other
subcommands."""

import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from harness import Berth, binary
from registry_client import Registry, digest


def run(*args, **kw):
    env = {**os.environ, **kw.pop("env", {})}
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=60, env=env,
                          check=False, **kw)


def seconds_to_ready(path, data):
    """From the start of the process to a 200 of /readyz."""
    start = time.perf_counter()
    p = subprocess.Popen([path, "serve", "--http.addr=127.0.0.1:0", "--http.debug.addr=127.0.0.1:0",
                          f"--storage.filesystem.rootdirectory={data}"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    try:
        for line in p.stdout:
            if line.startswith(b"debug: http://"):
                host, port = line.split(b"//")[1].strip().decode().rsplit(":", 1)
                break
        while True:
            c = http.client.HTTPConnection(host, int(port), timeout=10)
            c.request("GET", "/readyz")
            if c.getresponse().status == 200:
                break
            c.close()
        return time.perf_counter() - start
    finally:
        p.send_signal(signal.SIGTERM)
        p.stdout.close()
        assert p.wait(30) == 0


def test_ready_within_20_ms(tmp_path, record_property):
    """On a store that is empty: new (its directories are made), and made before."""
    path = binary("release")
    seconds_to_ready(path, tmp_path / "warm")
    for turn in range(3):  # who else uses the machine does not do so in each
        new = statistics.median(seconds_to_ready(path, tmp_path / f"new{turn}.{k}") for k in range(9))
        old = statistics.median(seconds_to_ready(path, tmp_path / "warm") for _ in range(9))
        print(f"\nready after {new * 1000:.1f} ms on a new store, {old * 1000:.1f} ms on an empty one "
              "(medians of 9)")
        if old < 0.020 and new < 0.100:
            break
    record_property("ready_ms", round(old * 1000, 1))
    assert old < 0.020
    assert new < 0.100


def test_second_instance_on_the_same_data_is_refused(fresh_berth):
    server = fresh_berth()
    registry = Registry(server.url)
    body = registry.push_image("a", "t")
    second = run("serve", "--http.addr=127.0.0.1:0", "--http.debug.addr=127.0.0.1:0",
                 f"--storage.filesystem.rootdirectory={server.data}")
    assert second.returncode != 0
    assert "in use" in second.stderr and str(server.data) in second.stderr, second.stderr
    assert registry.manifest("a", "t").content == body
    registry.push_blob("a", os.urandom(100_000))
    server.restart(hard=True)  # a killed owner's lock is gone with it
    assert Registry(server.url).manifest("a", "t").content == body


def test_address_in_use(fresh_berth, tmp_path):
    server = fresh_berth()
    second = run("serve", f"--http.addr=127.0.0.1:{server.port}", "--http.debug.addr=127.0.0.1:0",
                 f"--storage.filesystem.rootdirectory={tmp_path / 'other'}")
    assert second.returncode != 0
    assert str(server.port) in second.stderr


def test_banner(fresh_berth):
    """Where it listens, where the data is, and three commands for a first push."""
    server = fresh_berth()
    text = (server.base / "stdout").read_text()
    assert server.url in text and str(server.data) in text
    address = f"{server.host}:{server.port}"
    commands = re.findall(r"^\s+(docker|podman|skopeo|curl) (.+)$", text, re.M)
    assert len(commands) == 3, text
    assert sum(address in arguments for _, arguments in commands) >= 2


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
@pytest.mark.parametrize("xdg", [True, False])
def test_data_directory_of_a_user(xdg):
    """Who may not write to /var/lib gets a place under XDG data."""
    top = Path(tempfile.mkdtemp(prefix="berth-user."))
    try:
        top.chmod(0o777)
        path = top / "berth"
        shutil.copy(binary(), path)
        home = top / "home"
        home.mkdir()
        home.chmod(0o777)
        env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        if xdg:
            env["XDG_DATA_HOME"] = str(home / "xdg")
        p = subprocess.Popen([path, "serve", "--http.addr=127.0.0.1:0",
                              "--http.debug.addr=127.0.0.1:0"], stdout=subprocess.PIPE, text=True,
                             env=env, user=65534, group=65534, extra_groups=[], cwd=top)
        lines = []
        for line in p.stdout:
            lines.append(line)
            if line.startswith("data:"):
                break
        p.send_signal(signal.SIGTERM)
        p.stdout.close()
        assert p.wait(30) == 0
        want = home / ("xdg/berth" if xdg else ".local/share/berth")
        assert lines and lines[-1].split()[1] == str(want), lines
        assert (want / "berth.db").is_file()
        assert want.stat().st_mode & 0o007 == 0
    finally:
        shutil.rmtree(top, ignore_errors=True)


def test_a_data_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("x")
    r = run("serve", "--http.addr=127.0.0.1:0", "--http.debug.addr=127.0.0.1:0",
            f"--storage.filesystem.rootdirectory={tmp_path / 'file'}")
    assert r.returncode != 0 and str(tmp_path / "file") in r.stderr


def test_a_damaged_database_is_not_overwritten(fresh_berth):
    server = fresh_berth()
    Registry(server.url).push_image("a", "t")
    server.stop()
    db = server.data / "berth.db"
    for other in server.data.glob("berth.db-*"):
        other.unlink()
    db.write_bytes(b"this is no database" * 1000)
    before = db.read_bytes()
    server.spawn()
    assert server.wait(30) != 0
    assert db.read_bytes() == before
    server.process = None


def test_version_and_help():
    r = run("version")
    assert r.returncode == 0 and re.search(r"\d+\.\d+\.\d+", r.stdout) and not r.stderr
    for args in (("help",), ("--help",), ("help", "serve")):
        r = run(*args)
        assert r.returncode == 0, (args, r.stderr)
        assert "serve" in r.stdout
    assert "--http.addr" in run("help", "serve").stdout


@pytest.mark.parametrize("args,word", [
    (("unheard",), "unheard"), (("serve", "--no.such=1"), "no.such"),
    (("serve", "--storage.delete.enabled=maybe"), "storage.delete.enabled"),
    (("serve", "--http.timeouts.idle=soon"), "http.timeouts.idle"),
    (("serve", "--log.level=loud"), "log.level"), (("serve", "--http.addr"), "http.addr"),
    (("serve", "--http.addr=nonsense"), "nonsense"), (("serve", "/no/such/file.yml"), "file.yml"),
    (("serve", "--http.addr=127.0.0.1:99999"), "99999")])
def test_mistakes_are_explained(tmp_path, args, word):
    if args[0] == "serve":
        args += (f"--storage.filesystem.rootdirectory={tmp_path / 'data'}",)
        if not any(a.startswith("--http.addr") for a in args):
            args += ("--http.addr=127.0.0.1:0",)
        args += ("--http.debug.addr=",)
    r = run(*args)
    assert r.returncode != 0
    assert word in r.stderr and "\n" in r.stderr
    assert "Sanitizer" not in r.stderr


def test_no_arguments_at_all():
    r = run()
    assert "serve" in r.stdout + r.stderr


def test_environment_and_flags(fresh_berth):
    """A flag wins over the environment."""
    server = fresh_berth(env={"REGISTRY_STORAGE_DELETE_ENABLED": "false"},
                         options={"storage.delete.enabled": None})
    registry = Registry(server.url)
    registry.push_image("a", "t")
    assert registry.manifest("a", "t", "DELETE").status_code == 405
    server.stop()
    server.options["storage.delete.enabled"] = "true"
    server.start()
    assert Registry(server.url).manifest("a", "t", "DELETE").status_code == 202


def test_data_survives_many_restarts(tmp_path):
    server = Berth(tmp_path / "b")
    pushed = {}
    try:
        for k in range(6):
            registry = Registry(server.url)
            data = os.urandom(80_000 if k % 2 else 800)
            pushed[f"t{k}"] = registry.push_image(f"r{k % 2}", f"t{k}", layers=[data])
            server.restart(hard=bool(k % 2))
            registry = Registry(server.url)
            for j, (tag, body) in enumerate(pushed.items()):
                assert registry.manifest(f"r{j % 2}", tag).content == body
            assert registry.blob(f"r{k % 2}", digest(data)).content == data
    finally:
        server.stop()
