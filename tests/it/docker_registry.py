# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry (or $REGISTRY_BIN) as a server of its own, for what is compared with
berth."""

import http.client
import os
import signal
import subprocess
from pathlib import Path

from clients import tool
from harness import free_port, wait_for

CONFIG = """version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {data}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
  debug:
    addr: ""
"""


def program():
    return os.environ.get("REGISTRY_BIN") or tool("docker-registry")


class DockerRegistry:
    def __init__(self, base, data):
        self.base = Path(base)
        self.data = Path(data)
        self.base.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def v2(self):
        return self.data / "docker/registry/v2"

    def config(self):
        path = self.base / "config.yml"
        path.write_text(CONFIG.format(data=self.data, port=self.port))
        return path

    def start(self):
        self.port = free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
        env["OTEL_TRACES_EXPORTER"] = "none"  # registry 3 sends them to port 4318 otherwise
        with open(self.base / "log", "ab") as log:
            self.process = subprocess.Popen([program(), "serve", self.config()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        wait_for(self.answers, 30, "docker-registry's start")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.base / "log").read_text()[-2000:]
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            c.request("GET", "/v2/")
            return c.getresponse().status == 200
        except OSError:
            return False
        finally:
            c.close()

    def stop(self, number=signal.SIGTERM):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def collect_garbage(self, *options):
        """Offline, as its manual says."""
        assert self.process is None
        subprocess.run([program(), "garbage-collect", *options, self.config()],
                       check=True, capture_output=True, timeout=120)
