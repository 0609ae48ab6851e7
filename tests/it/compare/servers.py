# SPDX-License-Identifier: Apache-2.0
"""Starts registry and berth from the same configuration file and environment, each with ports and a
directory of its own, which the environment names."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 60


def registry_binary():
    """$REGISTRY_BIN, else that of Debian's package docker-registry, or None."""
    return os.environ.get("REGISTRY_BIN") or shutil.which("docker-registry")


def registry_version(binary):
    """What `registry --version` says: "2.8.2", "3.0.0"."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30,
                          check=True).stdout
    found = re.search(r"\bv?(\d+(?:\.\d+)+)[^ ]*$", said.strip())
    if not found:
        raise ValueError(f"{binary} --version says no version: {said!r}")
    return found[1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url):
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


class Process:
    def __init__(self, name, command, directory, config, environment=None):
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.debug_port = free_port()
        self.debug_url = f"http://127.0.0.1:{self.debug_port}"
        self.directory = Path(directory) / name
        self.directory.mkdir(parents=True)
        self.log_path = self.directory / "log"
        env = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
        env.update(environment or {})
        env.update({
            "REGISTRY_HTTP_ADDR": f"127.0.0.1:{self.port}",
            "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{self.debug_port}",
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(self.directory / "data"),
            # registry 3 sends its traces to port 4318 otherwise.
            "OTEL_TRACES_EXPORTER": "none",
            "ASAN_OPTIONS": "exitcode=99:detect_leaks=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=98",
        })
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*command, "serve", str(config)], env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory)
        end = time.monotonic() + START_SECONDS
        while not answers(self.url + "/v2/"):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{name} did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)

    def log(self):
        return self.log_path.read_text("utf-8", "replace")

    def stop(self):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
