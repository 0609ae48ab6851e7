# SPDX-License-Identifier: Apache-2.0
"""A berth server under test: started on free ports with a data directory of its own, waited for by
its own readiness, stopped or killed, and its output kept. A sanitizer report or an exit status
other than 0 after stop() fails the test that owns it."""

import errno
import http.client
import itertools
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SANITIZER = re.compile(
    r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:"
    r"|invariant broken)")
# Sanitizers make everything slower; a loaded machine too.
START_SECONDS = 60


def binary(kind="test"):
    """The binary under test: $BERTH_BIN, else the sanitizer build; for what is measured
    (kind="release") $BERTH_RELEASE_BIN, else the optimised build."""
    variable, flavour = (("BERTH_RELEASE_BIN", "gcc") if kind == "release" else
                         ("BERTH_BIN", "asan"))
    path = Path(os.environ.get(variable) or TOP / f"build-{flavour}/src/cli/berth")
    if not path.is_absolute():
        path = TOP / path
    if not path.exists():
        subprocess.run([TOP / "script/build", flavour], check=True, stdout=subprocess.DEVNULL)
    return str(path)


def has_faults(path):
    """Is this binary built with the fault points?"""
    with open(path, "rb") as f:
        return b"BERTH_FAULTS" in f.read()


def wait_for(condition, seconds=20, what="the condition"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come about in {seconds} s")
        time.sleep(0.01)


def quickest(ask, below, tries=3):
    """Seconds of the quickest of some calls, none of which says False; the first that takes less
    than `below` is enough. A loaded machine stands still now and then; who waits for something does
    so each time."""
    times = []
    while len(times) < tries and (not times or times[-1] >= below):
        begun = time.monotonic()
        assert ask() is not False, ask
        times.append(time.monotonic() - begun)
    return min(times)


def _ports():
    """Below those that the kernel gives to who asks for any, so that between the question and the
    use nobody gets them. Each process begins elsewhere."""
    try:
        top = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        top = 32768
    low = 10000 if top > 12000 else 1024
    for k in itertools.count(os.getpid() * 997):
        yield low + k % (top - low)


_PORTS = _ports()


def free_port():
    """Of every address and free when asked, for programs that cannot pick one themselves."""
    for port in _PORTS:
        try:
            with socket.create_server(("", port)), \
                    socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as s:
                if s.family == socket.AF_INET6:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.bind(("::", port))
        except OSError as e:
            if e.errno == errno.EADDRINUSE:
                continue
        return port


def free_ports(n):
    return [free_port() for _ in range(n)]


class Berth:
    """One server. `data` outlives it, so that a restart finds what was acknowledged."""

    def __init__(self, base, options=None, env=None, kind="test", nofile=None, start=True,
                 addr="127.0.0.1:0", config=None, data=None):
        self.base = Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        self.data = Path(data) if data else self.base / "data"
        self.options = dict(options or {})
        self.env = dict(env or {})
        self.bin = binary(kind)
        self.nofile = nofile
        self.addr = addr
        self.config = config
        self.process = None
        self.lines = []
        self.log_path = self.base / "log"
        self.runs = 0
        self.url = self.debug_url = self.host = None
        self.port = 0
        if start:
            self.start()

    # --- life ---

    def command(self):
        options = {
            "http.addr": self.addr,
            "http.debug.addr": "127.0.0.1:0",
            "storage.filesystem.rootdirectory": str(self.data),
            "storage.delete.enabled": "true",
            "log.level": "info",
            # The tests read what happened to a request; the combined form has tests of its own.
            "log.accesslog.formatter": "json",
        }
        options.update(self.options)
        files = [str(self.config)] if self.config else []
        return [self.bin, "serve", *files,
                *(f"--{k}={v}" for k, v in options.items() if v is not None)]

    def environment(self):
        env = dict(os.environ)
        env.update({
            "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:abort_on_error=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=98",
            "TSAN_OPTIONS": "exitcode=97:halt_on_error=0:second_deadlock_stack=1",
        })
        env.pop("BERTH_FAULTS", None)
        env.update(self.env)
        return env

    def spawn(self):
        """Starts the process without waiting for it."""
        self.runs += 1
        self.lines = []
        self.ready = threading.Condition()

        def limits():
            if self.nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                env=self.environment(), cwd=self.base, preexec_fn=limits if self.nofile else None)
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        return self

    def _read(self, process):
        with open(self.base / "stdout", "ab") as kept:
            for raw in process.stdout:
                kept.write(raw)
                kept.flush()
                with self.ready:
                    self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                    self.ready.notify_all()
        process.stdout.close()
        with self.ready:
            self.lines.append(None)
            self.ready.notify_all()

    def _said(self, prefix):
        for line in self.lines:
            if line is not None and line.startswith(prefix):
                return line[len(prefix):].strip()
        return None

    @property
    def urls(self):
        """Of all listeners, in their order."""
        prefix = "listening:"
        return [x[len(prefix):].strip() for x in self.lines if x and x.startswith(prefix)]

    def start(self):
        self.spawn()
        with self.ready:
            self.ready.wait_for(lambda: (self._said("listening:") and self._said("debug:"))
                                or None in self.lines, timeout=START_SECONDS)
        self.url = self._said("listening:")
        self.debug_url = self._said("debug:")
        if not self.url or not self.debug_url:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"berth did not start:\n{self.lines}\n{self.log()[-4000:]}")
        if "://" in self.url:
            self.host, port = self.url.split("://")[1].rsplit(":", 1)
            self.port = int(port)
        wait_for(lambda: not self.alive() or self.debug("/readyz")[0] == 200, START_SECONDS,
                 "readiness")
        assert self.alive(), f"berth died while it started:\n{self.log()[-4000:]}"
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def wait(self, seconds=60):
        """The exit status, once the process has ended by itself."""
        status = self.process.wait(seconds)
        self.reader.join(10)
        return status

    def stop(self, check=True):
        """SIGTERM, and the whole drain."""
        if self.process is None:
            return
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGABRT)
                self.process.wait()
                raise AssertionError(f"berth did not drain:\n{self.log()[-4000:]}") from None
        status = self.process.returncode
        self.process = None
        if check:
            self.check_log()
            assert status == 0, f"exit status {status}:\n{self.log()[-4000:]}"

    def kill9(self):
        self.process.kill()
        self.wait()
        self.process = None

    def restart(self, hard=False):
        """The same data, a new process and new ports."""
        if self.alive():
            if hard:
                self.kill9()
            else:
                self.stop()
        return self.start()

    def signal(self, number):
        self.process.send_signal(number)

    # --- what it says ---

    def log(self):
        err = self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""
        out = self.base / "stdout"
        return err + (out.read_text("utf-8", "replace") if out.exists() else "")

    def check_log(self):
        text = self.log()
        m = SANITIZER.search(text)
        assert not m, f"a sanitizer report:\n{text[max(0, m.start() - 300):][:6000]}"

    def records(self):
        """The log lines that are JSON objects."""
        out = []
        for line in self.log().splitlines():
            if line.startswith("{"):
                try:
                    out.append(json.loads(line))
                except ValueError:
                    continue  # the last line of a killed process
        return out

    def debug(self, path):
        """(status, text) from the debug listener; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.debug_url + path, timeout=20) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except (OSError, http.client.HTTPException):  # or it ends in the middle of it
            return 0, ""

    def metrics(self):
        """{'name{labels}': value}"""
        status, text = self.debug("/metrics")
        assert status == 200
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                values[key] = float(value)
        return values

    def metric_sum(self, name, *labels):
        """The sum over all series of a name whose labels contain each of `labels`."""
        return sum(v for k, v in self.metrics().items()
                   if k.split("{")[0] == name and all(x in k for x in labels))

    def rss_kib(self):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    # --- what it keeps ---

    def stages(self):
        """The temporary files of uploads."""
        d = self.data / "uploads"
        return sorted(p.name for p in d.iterdir()) if d.is_dir() else []

    def blob_files(self):
        d = self.data / "blobs"
        return sorted(p for p in d.rglob("*") if p.is_file()) if d.is_dir() else []
