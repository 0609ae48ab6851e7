# SPDX-License-Identifier: Apache-2.0
"""What the tests with real clients share: each client gets a home of its own, so that one which
pulls has nothing of the one that pushed."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import wait_for

SECONDS = 300
# skopeo and podman, as root, share a cache that knows other compressions of a layer, and put those
# into the manifest otherwise.
EXACTLY = "--preserve-digests"


def tool(name):
    """The path of a client; Debian's before any other."""
    for d in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        if os.access(f"{d}/{name}", os.X_OK):
            return f"{d}/{name}"
    return shutil.which(name)


def require(*names):
    for name in names:
        if not tool(name):
            pytest.skip(f"{name} is not installed")


def unmount_below(path):
    """What an engine left mounted in its directories would keep them from being removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted(mounts, reverse=True):
        if mount == str(path) or mount.startswith(f"{path}/"):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


class Home:
    """A clean machine for one client: its own HOME, run and storage directories."""

    def __init__(self, path):
        self.path = Path(path)
        for d in ("home", "run", "tmp", "storage"):
            (self.path / d).mkdir(parents=True, exist_ok=True)
        # podman wants at most 50 characters here, for its sockets.
        self.short = tempfile.TemporaryDirectory(prefix="berth.", dir="/tmp",
                                                 ignore_cleanup_errors=True)
        (self.path / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        (self.path / "registries.conf").write_text('unqualified-search-registries = []\n')
        self.env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.path / "home"),
            "XDG_RUNTIME_DIR": str(self.path / "run"),
            "TMPDIR": str(self.path / "tmp"),
            "REGISTRY_AUTH_FILE": str(self.path / "auth.json"),
            "CONTAINERS_REGISTRIES_CONF": str(self.path / "registries.conf"),
            "STORAGE_DRIVER": "vfs",
            "BUILDAH_ISOLATION": "chroot",
            "LANG": "C.UTF-8",
        }
        (self.path / "auth.json").write_text("{}")

    def run(self, name, *args, check=True, text=True, **kw):
        r = subprocess.run([tool(name), *map(str, args)], env=self.env, capture_output=True,
                           text=text, timeout=SECONDS, check=False, **kw)
        if check:
            assert r.returncode == 0, f"{name} {args}: {r.returncode}\n{r.stdout}\n{r.stderr}"
        return r

    def skopeo(self, *args, **kw):
        return self.run("skopeo", "--policy", self.path / "policy.json", *args, **kw)

    def storage(self):
        return ["--root", self.path / "storage", "--runroot", self.short.name,
                "--storage-driver", "vfs"]

    def storage_reference(self, name):
        """The name in skopeo's words of an image in the storage of this home."""
        return f"containers-storage:[vfs@{self.path}/storage+{self.short.name}]{name}"

    def podman(self, *args, **kw):
        return self.run("podman", *self.storage(), "--cgroup-manager", "cgroupfs",
                        "--events-backend", "file", "--tmpdir", f"{self.short.name}/tmp", *args, **kw)

    def buildah(self, *args, **kw):
        return self.run("buildah", *self.storage(), *args, **kw)


class Docker:
    """A Docker Engine with its bridge and its iptables rules off. wrapper: a command that runs the
    engine given to it, for one that sees other files."""

    def __init__(self, path, wrapper=()):
        self.wrapper = list(wrapper)
        self.home = Home(path)
        self.socket = f"unix://{path}/docker.sock"
        self.log = Path(path) / "dockerd.log"
        self.process = None
        self.path = Path(path)

    def start(self):
        for driver in (None, "vfs"):
            args = [*self.wrapper, tool("dockerd"), "--bridge=none", "--iptables=false",
                    "--ip6tables=false",
                    f"--data-root={self.path}/data", f"--exec-root={self.path}/exec",
                    f"--host={self.socket}", f"--pidfile={self.path}/dockerd.pid"]
            if driver:
                args.append(f"--storage-driver={driver}")
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(args, env=self.home.env, stdout=log, stderr=log,
                                                stdin=subprocess.DEVNULL, start_new_session=True)

            def up():
                return (self.process.poll() is not None
                        or self.run("version", check=False).returncode == 0)

            wait_for(up, 60, "the Docker Engine")
            if self.process.poll() is None:
                return self
        pytest.skip("the Docker Engine does not start here: "
                    + self.log.read_text(errors="replace")[-600:])

    def run(self, *args, **kw):
        return self.home.run("docker", "--host", self.socket, *args, **kw)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        unmount_below(self.path)


# What the kernel or the machine does not allow is no fault of the image or of the registry.
NOT_ALLOWED = ("operation not permitted", "permission denied", "cgroup", "no such device",
               "not supported", "function not implemented", "read-only file system", "mount",
               "oci runtime", "no space left", "executable file not found in $path")


def run_or_skip(result, want):
    """The output of a container that ran, or a skip with the kernel's reason."""
    if result.returncode == 0:
        assert want in result.stdout
        return
    text = (result.stderr + result.stdout).lower()
    if any(reason in text for reason in NOT_ALLOWED):
        pytest.skip("this machine runs no containers: " + result.stderr.strip()[-300:])
    raise AssertionError(result.stderr)


def inspect_digests(registry, repo, ref):
    """{digest} of all that a reference leads to, each fetched and checked."""
    from registry_client import digest
    r = registry.manifest(repo, ref)
    assert r.status_code == 200, (ref, r.text)
    dgst = r.headers["Docker-Content-Digest"]
    assert digest(r.content) == dgst
    found = {dgst}
    body = json.loads(r.content)
    for child in body.get("manifests", []):
        found |= inspect_digests(registry, repo, child["digest"])
    for blob in [*body.get("layers", []), *([body["config"]] if "config" in body else [])]:
        data = registry.blob(repo, blob["digest"]).content
        assert digest(data) == blob["digest"] and len(data) == blob["size"]
        found.add(blob["digest"])
    return found
