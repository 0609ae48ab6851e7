# SPDX-License-Identifier: Apache-2.0
"""The Debian package for the tests that install it: built by script/package once per state of the
tree, under build-package/, whichever test or worker comes first."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from harness import TOP

INPUTS = ("meson.build", "meson_options.txt", "src", "docs", "packaging", "README.md",
          "CHANGELOG.md", "LICENSE", "script/package", "script/lib.sh")
STORE = TOP / "build-package/tests"
KEEP_SECONDS = 3600


def require():
    for name in ("dpkg-buildpackage", "dh", "lintian"):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")


def tree_digest():
    # The date of the last commit is the package's.
    h = hashlib.sha256()
    if shutil.which("git"):
        h.update(subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=TOP, capture_output=True,
                                check=False).stdout)
    for name in INPUTS:
        path = TOP / name
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" not in file.parts:
                h.update(str(file.relative_to(TOP)).encode() + b"\0" + file.read_bytes() + b"\0")
    return h.hexdigest()[:16]


def build(output, *options, **env):
    """What script/package prints."""
    r = subprocess.run([TOP / "script/package", f"--output={output}", *options], text=True,
                       capture_output=True, timeout=900, check=False, env={**os.environ, **env})
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    return r.stdout


def deb_of(directory):
    found = list(Path(directory).glob("berth_*.deb"))
    assert len(found) == 1, found
    return found[0]


def built():
    """(directory, what script/package printed) for the tree as it is."""
    require()
    STORE.mkdir(parents=True, exist_ok=True)
    with open(STORE / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        out = STORE / tree_digest()
        if not (out / "said").exists():
            for old in STORE.iterdir():  # but for one that other tests may still be installing
                if old.is_dir() and time.time() - old.stat().st_mtime > KEEP_SECONDS:
                    shutil.rmtree(old)
            said = build(out)
            (out / "said").write_text(said)
    return out, (out / "said").read_text()
