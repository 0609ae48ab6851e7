# SPDX-License-Identifier: Apache-2.0
"""A machine for packages: the tree that the tests run in, with a writable layer of memory over it,
in namespaces of its own (processes, mounts, network). What is installed there is really installed,
by dpkg and its scripts, and gone with the test. With systemd=True systemd is its process 1."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import wait_for

SECONDS = 180
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "no_proxy": "*"}

# $1 is an empty directory, $2 says whether systemd is wanted.
MAKE = r"""
set -e
base=$1 name=${1##*/}
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$base/root"
cd "$base/root"
mount -t proc proc proc
# The kernel is everybody's: systemd as process 1, and systemd-sysctl, would set its variables.
for f in proc/sys proc/sysrq-trigger; do
  [ -e $f ] || continue
  mount --bind $f $f
  mount -o remount,bind,ro $f
done
for d in run tmp; do mount -t tmpfs -o mode=755 tmpfs $d; done
chmod 1777 tmp
mkdir -p run/lock
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
: >dev/console
ln -s /proc/self/fd dev/fd
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
# Nothing of the outside starts here, and what is installed here may.
rm -f usr/sbin/policy-rc.d
# The index of all man pages, which each installation would make anew, is not looked at.
rm -f var/lib/man-db/auto-update
ip link set lo up
if [ "$2" = no ]; then
  exec chroot . /bin/sleep infinity
fi
# A root like any other, if it can be had: a kernel makes no user namespaces in a chroot.
mkdir -p .outside
if pivot_root . .outside; then
  umount -l /.outside
  cd /
else
  mkdir -p etc/systemd/system/service.d
  printf '[Service]\nPrivateUsers=no\n' >etc/systemd/system/service.d/chroot.conf
fi
rmdir .outside
mount -t sysfs -o ro sysfs sys
# Its control groups are all below one of its own in each hierarchy; FORGET takes them away again.
while IFS=: read -r id kind path; do
  case $id:$kind in
    0:*) how="cgroup2 rw" ;;
    *:name=*) how="cgroup none,$kind" ;;
    *) how="cgroup $kind" ;;
  esac
  mount -t ${how% *} -o ${how#* } cgroup sys/fs/cgroup 2>/dev/null || continue
  mkdir "sys/fs/cgroup/$name" && echo 0 >"sys/fs/cgroup/$name/cgroup.procs" || true
  umount sys/fs/cgroup
done </proc/self/cgroup
rm -rf usr/lib/systemd/system/*.target.wants etc/systemd/system/*.wants
: >etc/machine-id
cat >etc/systemd/system/test.target <<'EOF'
[Unit]
DefaultDependencies=no
Requires=systemd-journald.service
EOF
exec unshare --cgroup bash -ec '
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  if ! mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd; then
    umount sys/fs/cgroup
    mount -t cgroup2 cgroup2 sys/fs/cgroup
  fi
  exec env -i container=test PATH="$PATH" chroot . /lib/systemd/systemd \
    --unit=test.target --log-target=journal-or-kmsg --show-status=0
'
"""

# $1 is an empty directory, $2 the name of the control groups.
FORGET = r"""
while IFS=: read -r id kind path; do
  case $id:$kind in
    0:*) how="cgroup2 rw" ;;
    *:name=*) how="cgroup none,$kind" ;;
    *) how="cgroup $kind" ;;
  esac
  mount -t ${how% *} -o ${how#* } cgroup "$1" 2>/dev/null || continue
  for try in $(seq 50); do
    [ -d "$1/$2" ] || break
    find "$1/$2" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ -d "$1/$2" ] && sleep 0.1
  done
  umount "$1"
done </proc/self/cgroup
"""


# A client in one file: the machine need not see the tests.
CLIENT = r"""
import hashlib, json, sys, urllib.request
what, url, repo, tag, *rest = sys.argv[1:]
TYPE = "application/vnd.oci.image.manifest.v1+json"
def ask(method, path, data=None, **headers):
    to = path if path.startswith("http") else url + path
    q = urllib.request.Request(to, data=data, method=method,
                               headers={k.replace("_", "-"): v for k, v in headers.items()})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(q, timeout=60) as r:
        return r.headers, r.read()
def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()
def blob(data):
    h, _ = ask("POST", f"/v2/{repo}/blobs/uploads/", b"")
    at = h["Location"]
    at += ("&" if "?" in at else "?") + "digest=" + digest(data)
    ask("PUT", at, data, Content_Type="application/octet-stream")
    return {"digest": digest(data), "size": len(data)}
if what == "push":
    layer = hashlib.shake_128(tag.encode()).digest(int(rest[0]))
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
    body = json.dumps({"schemaVersion": 2, "mediaType": TYPE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(layer)}]}).encode()
    ask("PUT", f"/v2/{repo}/manifests/{tag}", body, Content_Type=TYPE)
else:
    h, body = ask("GET", f"/v2/{repo}/manifests/{tag}", Accept=TYPE)
    assert digest(body) == h["Docker-Content-Digest"]
    m = json.loads(body)
    for d in [m["config"], *m["layers"]]:
        _, data = ask("GET", f"/v2/{repo}/blobs/{d['digest']}")
        assert digest(data) == d["digest"] and len(data) == d["size"]
    print(m["layers"][0]["size"])
"""


class Machine:
    def __init__(self, systemd=False):
        if os.geteuid() != 0:
            pytest.skip("a machine of its own needs root")
        for name in ("unshare", "nsenter", "ip"):
            if not shutil.which(name):
                pytest.skip(f"{name} is not installed")
        if systemd and not Path("/lib/systemd/systemd").exists():
            pytest.skip("systemd is not installed")
        self.base = Path(tempfile.mkdtemp(prefix="berth-machine."))
        self.log = self.base.with_suffix(".log")
        self.systemd = systemd
        with open(self.log, "wb") as log:
            self.holder = subprocess.Popen(
                ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork",
                 "--kill-child", "bash", "-c", MAKE, "bash", str(self.base),
                 "yes" if systemd else "no"], env=ENVIRONMENT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.first = None
        try:
            wait_for(lambda: self.holder.poll() is not None or self._up(systemd), 60, "the machine")
        except BaseException:
            self.stop()
            raise
        if self.holder.poll() is not None:
            text = self.log.read_text(errors="replace")
            self.stop()
            pytest.skip(f"no machine can be made here: {text[-300:]}")

    def _up(self, systemd):
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        try:
            self.first = int(children.read_text().split()[0])
            name = Path(f"/proc/{self.first}/comm").read_text().strip()
        except (OSError, IndexError):
            return False
        if not systemd:
            return name == "sleep"
        return name == "systemd" and self.run("systemctl", "is-system-running",
                                              check=False).stdout.strip() == "running"

    def command(self, *args):
        # Not --all: where there are no time or user namespaces of its own they cannot be entered.
        return ["nsenter", f"--target={self.first}", "--mount", "--net", "--pid", "--uts", "--ipc",
                "--root", "--wd", *map(str, args)]

    def run(self, *args, check=True, env=None, timeout=SECONDS, **kw):
        r = subprocess.run(self.command(*args), env={**ENVIRONMENT, **(env or {})}, text=True,
                           capture_output=True, timeout=timeout, check=False, **kw)
        if check:
            assert r.returncode == 0, f"{args}: {r.returncode}\n{r.stdout}\n{r.stderr}"
        return r

    def sh(self, script, **kw):
        return self.run("sh", "-ec", script, **kw)

    def start(self, *args, **kw):
        return subprocess.Popen(self.command(*args), env=ENVIRONMENT, **kw)

    def python(self, script, *args, **kw):
        """Runs a script, which is given by standard input, by the system's Python."""
        return self.run("/usr/bin/python3", "-B", "-", *args, input=script, **kw)

    def push(self, url, repo, tag, size=300_000):
        """Pushes a small image by the API alone; fetched() has to find it again."""
        self.python(CLIENT, "push", url, repo, tag, size)

    def fetched(self, url, repo, tag):
        """The size of the layer of an image, each byte of which was fetched and checked."""
        return int(self.python(CLIENT, "pull", url, repo, tag).stdout)

    def put(self, path, data, mode=0o644):
        """A file of the machine."""
        self.run("sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat >"$1"; chmod "$2" "$1"', "sh", path,
                 f"{mode:o}", input=data if isinstance(data, str) else data.decode("latin-1"))

    def copy_in(self, source, target):
        with open(source, "rb") as f:
            subprocess.run(self.command("sh", "-ec", 'cat >"$1"', "sh", target), stdin=f, check=True,
                           env=ENVIRONMENT, timeout=SECONDS)

    def stop(self):
        if self.first and self.holder.poll() is None:
            try:
                os.kill(self.first, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.holder.kill()
        self.holder.wait()
        if self.systemd:
            subprocess.run(["unshare", "--mount", "--cgroup", "bash", "-c", FORGET, "bash", str(self.base),
                            self.base.name], env=ENVIRONMENT, timeout=SECONDS, check=False)
        shutil.rmtree(self.base, ignore_errors=True)
        self.log.unlink(missing_ok=True)


if __name__ == "__main__":  # a shell in it, to look around
    machine = Machine(systemd="--systemd" in sys.argv)
    try:
        subprocess.run(machine.command("bash"), check=False)
    finally:
        machine.stop()
