# SPDX-License-Identifier: Apache-2.0
"""The Debian package, built by script/package as an administrator would, and installed, upgraded,
removed and purged on a machine of its own (machine.py), where its scripts really run."""

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import packages
import pytest
from harness import TOP, wait_for
from machine import Machine
from packages import build, deb_of


@pytest.fixture(scope="session")
def built():
    return packages.built()


@pytest.fixture
def deb(built):
    return deb_of(built[0])


@pytest.fixture(scope="session")
def newer(built, tmp_path_factory):
    """A later version, whose configuration file differs: the same program packed once more, which
    takes a second where another build takes a minute."""
    out = tmp_path_factory.mktemp("newer")
    tree = out / "tree"
    subprocess.run(["dpkg-deb", "-R", deb_of(built[0]), tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.1-1", control.read_text(), flags=re.M))
    with open(tree / "etc/berth/config.yml", "a", encoding="utf-8") as f:
        f.write("# something that version 99.1 says\n")
    changed = out / "changed.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, changed], check=True,
                   stdout=subprocess.DEVNULL)
    return changed


@pytest.fixture
def machine():
    m = Machine()
    yield m
    m.stop()


def listing(deb):
    """{path: (mode, owner)}"""
    out = subprocess.run(["dpkg-deb", "-c", deb], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        found[path.split(" -> ")[0].lstrip(".")] = (mode, owner)
    return found


def test_what_the_script_prints(built):
    out, said = built
    assert not re.search(r"^E: ", said, re.M), said
    warnings = re.findall(r"^W: .*", said, re.M)
    assert not warnings, warnings
    sizes = dict(re.findall(r"^(\S+\.deb) (\d+) bytes$", said, re.M))
    assert len(sizes) == 2 and any("dbgsym" in p for p in sizes)
    for path, size in sizes.items():
        assert Path(path).parent == out and Path(path).stat().st_size == int(size)
    print(said)


def test_contents(deb):
    files = listing(deb)
    pages = subprocess.run([str(extract(deb) / "usr/bin/berth"), "help", "man"], check=True,
                           capture_output=True, text=True).stdout.split()
    assert "berth.1" in pages and "berth-config.5" in pages
    for page in pages:
        assert f"/usr/share/man/man{page[-1]}/{page}.gz" in files
    for path in ("/usr/bin/berth", "/lib/systemd/system/berth.service",
                 "/lib/systemd/system/berth.socket", "/usr/lib/sysusers.d/berth.conf",
                 "/usr/lib/tmpfiles.d/berth.conf", "/usr/share/bash-completion/completions/berth",
                 "/usr/share/zsh/vendor-completions/_berth",
                 "/usr/share/fish/vendor_completions.d/berth.fish",
                 "/usr/share/doc/berth/examples/nginx.conf", "/usr/share/doc/berth/copyright"):
        assert path in files, path
    assert files["/etc/berth/config.yml"][0] == "-rw-r-----"
    assert files["/etc/berth/"][0] == "drwxr-x---"
    for path, (mode, owner) in files.items():
        assert owner == "root/root", path
        assert "s" not in mode and mode[8] != "w", f"{path}: {mode}"


EXTRACTED = {}


def extract(deb):
    if deb not in EXTRACTED:
        directory = tempfile.TemporaryDirectory(prefix="berth-deb.")
        subprocess.run(["dpkg-deb", "-x", deb, directory.name], check=True)
        EXTRACTED[deb] = directory
    return Path(EXTRACTED[deb].name)


def test_the_binary_is_hardened_and_stripped(deb):
    binary = extract(deb) / "usr/bin/berth"
    said = subprocess.run(["readelf", "-W", "-l", "-d", "-S", binary], check=True, text=True,
                          capture_output=True).stdout
    assert "DYN (Position-Independent Executable file)" in said or "PIE" in said
    assert "GNU_RELRO" in said and "BIND_NOW" in said
    assert re.search(r"GNU_STACK.* RW +0x", said)
    assert ".debug_info" not in said
    assert str(TOP) not in binary.read_bytes().decode("latin-1")


def test_the_same_tree_gives_the_same_bytes(built, tmp_path):
    tree = packages.tree_digest()
    elsewhere = tempfile.mkdtemp(prefix="berth-other-place.", dir="/var/tmp")
    try:
        build(tmp_path, "--no-lint", TMPDIR=elsewhere, TZ="Asia/Taipei", LC_ALL="C")
    finally:
        shutil.rmtree(elsewhere)

    if built[0].name != tree or tree != packages.tree_digest():
        pytest.skip("the tree was changed meanwhile")

    def sums(d):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(d).glob("*.deb")}
    assert sums(built[0]) == sums(tmp_path)


SERVE = ["setpriv", "--reuid=berth", "--regid=berth", "--clear-groups", "--no-new-privs",
         "berth", "serve", "/etc/berth/config.yml"]
URL = "http://127.0.0.1:5000"


def serving(machine):
    """Serves as the package's user; there is no systemd on this machine."""
    server = machine.start(*SERVE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: server.poll() is not None
             or machine.run("berth", "health", check=False).returncode == 0, 30, "readiness")
    assert server.poll() is None
    return server


def stop(machine, server):
    machine.sh("kill $(pidof berth)")
    assert server.wait(60) == 0


def install(machine, deb, **kw):
    machine.copy_in(deb, "/tmp/berth.deb")
    return machine.run("dpkg", "--force-confdef", "--force-confold", "-i", "/tmp/berth.deb", **kw)


def test_install_upgrade_remove_purge(machine, deb, newer):
    assert machine.run("berth", "health", check=False).returncode != 0
    install(machine, deb)
    assert machine.run("berth", "version").stdout.startswith("berth ")
    assert machine.sh("getent passwd berth").stdout.endswith(":/var/lib/berth:/usr/sbin/nologin\n")
    assert machine.run("stat", "-c", "%a %U:%G", "/etc/berth", "/etc/berth/config.yml",
                       "/var/lib/berth").stdout.split("\n")[:3] == [
        "750 root:berth", "640 root:berth", "700 berth:berth"]
    machine.run("berth", "config", "check", "--strict", "/etc/berth/config.yml")
    assert "berth-serve" in machine.run("sh", "-c", "man -P cat berth").stdout

    server = serving(machine)
    machine.push(URL, "team/app", "1")
    assert machine.fetched(URL, "team/app", "1") == 300_000
    stop(machine, server)

    # An upgrade: the changed configuration and the data stay.
    mine = "# changed by the administrator\n"
    machine.sh(f"printf '%s' '{mine}' >>/etc/berth/config.yml")
    before = machine.sh("cat /etc/berth/config.yml").stdout
    install(machine, newer)
    assert machine.run("dpkg-query", "-W", "-f", "${Version}", "berth").stdout == "99.1-1"
    assert machine.sh("cat /etc/berth/config.yml").stdout == before
    assert "version 99.1" in machine.sh("cat /etc/berth/config.yml.dpkg-dist").stdout
    assert machine.run("stat", "-c", "%a %U:%G", "/etc/berth/config.yml").stdout == "640 root:berth\n"
    server = serving(machine)
    assert machine.fetched(URL, "team/app", "1") == 300_000
    machine.push(URL, "team/app", "2")
    stop(machine, server)

    # Removed: the program goes; configuration and data stay.
    machine.run("dpkg", "--remove", "berth")
    assert machine.run("sh", "-c", "command -v berth", check=False).returncode != 0
    assert machine.sh("cat /etc/berth/config.yml").stdout == before
    machine.sh("test -d /var/lib/berth/blobs || test -n \"$(ls /var/lib/berth)\"")

    # Purged: the configuration goes, the data stays, and it says so.
    said = machine.run("dpkg", "--purge", "berth").stdout
    assert "/var/lib/berth are kept" in said
    assert machine.run("test", "-e", "/etc/berth/config.yml", check=False).returncode != 0
    install(machine, deb)
    server = serving(machine)
    assert machine.fetched(URL, "team/app", "2") == 300_000
    stop(machine, server)

    # Asked to, it takes the data with it.
    machine.run("dpkg", "--purge", "berth", env={"BERTH_PURGE_DATA": "yes"})
    assert machine.run("test", "-e", "/var/lib/berth", check=False).returncode != 0


def test_an_administrators_permissions_stay(machine, deb):
    install(machine, deb)
    machine.run("dpkg-statoverride", "--update", "--add", "root", "root", "0600",
                "/etc/berth/config.yml")
    machine.run("dpkg-reconfigure", "berth")
    assert machine.run("stat", "-c", "%a %U:%G", "/etc/berth/config.yml").stdout == "600 root:root\n"
    machine.run("dpkg", "--purge", "berth")


def test_data_that_root_made_before(machine, deb):
    """`./script/server` tried as root, and then the package: the service can open what it finds."""
    machine.sh("rm -rf /var/lib/berth; install -d -m 700 /var/lib/berth/blobs; echo x >/var/lib/berth/lock;"
               "ln -s /etc/hostname /var/lib/berth/link")
    install(machine, deb)
    found = machine.sh("cd /var/lib/berth; stat -c '%U %n' . blobs lock; stat -Lc '%U %n' link").stdout
    assert found == "berth .\nberth blobs\nberth lock\nroot link\n"
    # What somebody else was given stays so.
    machine.sh("chown -R nobody /var/lib/berth")
    machine.run("dpkg-reconfigure", "berth")
    assert machine.sh("stat -c %U /var/lib/berth/lock").stdout == "nobody\n"
    machine.run("dpkg", "--purge", "berth", env={"BERTH_PURGE_DATA": "yes"})


def test_a_version_that_is_none():
    r = subprocess.run([TOP / "script/package", "--version=x y"], capture_output=True, text=True,
                       timeout=60, check=False)
    assert r.returncode == 2 and "no version" in r.stderr
