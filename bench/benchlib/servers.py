# SPDX-License-Identifier: Apache-2.0
"""The three servers: started pinned to one core on a free port, ended by pid, nothing left behind."""

import ctypes
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from .machine import SERVER_CPU, TICK, read

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """One server on one directory."""

    name = ""
    binary = ""
    environment = {}

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.process = None
        self.log = None

    # Subclasses say how they are run.
    def command(self):
        raise NotImplementedError

    def prepare(self):
        """Writes what the command needs; called before each start."""

    @property
    def target(self):
        return f"127.0.0.1:{self.port}"

    @property
    def store(self):
        return self.directory / "store"

    def start(self):
        self.store.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *self.command()], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, env={**os.environ, **self.environment},
            preexec_fn=die_with_parent, cwd=self.directory)
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.request("GET", "/v2/")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.01)
        tail = read(self.directory / "log")[-2000:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {tail}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        if self.log:
            self.log.close()
            self.log = None

    def wipe(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def drop_cache(self):
        """Gives the pages of stored blobs back to the kernel. In a virtual machine a page that was
        never used costs a fault in the host, several times the copy into it: without this, whoever
        is measured first after a boot pays for the others."""
        for path in self.store.rglob("*"):
            try:
                if path.is_file() and path.stat().st_size > 1 << 20:
                    fd = os.open(path, os.O_RDONLY)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(fd)
            except FileNotFoundError:  # the server is free to move it meanwhile
                pass

    def request(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60, blocksize=1 << 20)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()
        finally:
            c.close()

    def pids(self):
        main = self.process.pid
        children = read(f"/proc/{main}/task/{main}/children").split()
        return [main, *map(int, children)]

    def cpu_seconds(self):
        """User and system time of all threads so far."""
        total = 0
        for pid in self.pids():
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def memory(self, key):
        """VmRSS or VmHWM in MB (10^6 bytes)."""
        total = 0
        for pid in self.pids():
            for line in read(f"/proc/{pid}/status").splitlines():
                if line.startswith(key + ":"):
                    total += int(line.split()[1]) * 1024
        return total / 1e6


class Berth(Server):
    name = "berth"

    def command(self):
        return [self.binary, "serve", f"--http.addr=127.0.0.1:{self.port}",
                f"--storage.filesystem.rootdirectory={self.store}", "--log.accesslog.disabled=true",
                "--log.level=error"]


class Registry(Server):
    """Debian's docker-registry with its fastest settings: descriptor cache in memory, no logs, no
    purging, no health checks, one P for its one core."""

    name = "registry"
    binary = shutil.which("docker-registry") or ""
    environment = {"GOMAXPROCS": "1", "OTEL_TRACES_EXPORTER": "none"}

    def prepare(self):
        (self.directory / "config.yml").write_text(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {self.store}, maxthreads: 100}}
  cache: {{blobdescriptor: inmemory}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{self.port}", secret: bench}}
health: {{storagedriver: {{enabled: false}}}}
""", encoding="utf-8")

    def command(self):
        return [self.binary, "serve", str(self.directory / "config.yml")]


class Nginx(Server):
    """Static files under the paths that a registry would serve them at."""

    name = "nginx"
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    workers = 1

    def prepare(self):
        www = self.store / "v2"
        www.mkdir(exist_ok=True)
        (www / "index.json").write_text("{}", encoding="utf-8")
        for temporary in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.directory / temporary).mkdir(exist_ok=True)
        process = "master_process off;" if self.workers == 1 else ""
        (self.directory / "nginx.conf").write_text(f"""daemon off; {process}
worker_processes {self.workers};
user {'root' if os.getuid() == 0 else os.environ.get('USER', 'nobody')};
pid {self.directory}/pid;
error_log {self.directory}/error.log crit;
events {{ worker_connections 4096; use epoll; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; server_tokens off;
  keepalive_timeout 600s; keepalive_requests 1000000000;
  open_file_cache max=100000 inactive=600s; open_file_cache_valid 600s;
  open_file_cache_min_uses 1; open_file_cache_errors on;
  types {{ }} default_type application/vnd.oci.image.manifest.v1+json;
  client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy;
  fastcgi_temp_path {self.directory}/fastcgi; uwsgi_temp_path {self.directory}/uwsgi;
  scgi_temp_path {self.directory}/scgi;
  server {{ listen 127.0.0.1:{self.port} backlog=1024; root {self.store}; index index.json; }}
}}
""", encoding="utf-8")

    def command(self):
        return [self.binary, "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")]


CLASSES = {c.name: c for c in (Berth, Registry, Nginx)}
