# SPDX-License-Identifier: Apache-2.0
"""The container image: made by packaging/container/build out of the package, without a network; what
is in it; and run by podman and docker where this machine runs containers, else in a chroot."""

import glob
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import packages
import pytest
from clients import NOT_ALLOWED, Docker, Home, require, tool, unmount_below
from fronts import Certificates, Client, example, free_ports
from harness import TOP, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the engines need root")
USER = 10001


@pytest.fixture(scope="module")
def deb():
    return packages.deb_of(packages.built()[0])


class Built:
    def __init__(self, directory, deb):
        require("buildah")
        self.home = Home(directory / "builder")
        self.archive = directory / "image.tar"
        r = subprocess.run(
            [TOP / "packaging/container/build", f"--deb={deb}", f"--archive={self.archive}", "--",
             *map(str, self.home.storage())], env=self.home.env, capture_output=True, text=True,
            timeout=600, check=False)
        assert r.returncode == 0, r.stdout + r.stderr
        self.said = r.stdout
        with tarfile.open(self.archive) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))[0]
            self.names = manifest["RepoTags"]
            self.config = json.load(tar.extractfile(manifest["Config"]))
            self.layers = manifest["Layers"]


@pytest.fixture(scope="module")
def image(tmp_path_factory, deb):
    built = Built(tmp_path_factory.mktemp("image"), deb)
    yield built
    unmount_below(built.home.path)


@pytest.fixture
def root(image, tmp_path):
    """The files of the image."""
    path = tmp_path / "root"
    path.mkdir()
    with tarfile.open(image.archive) as tar:
        for name in image.layers:
            with tarfile.open(fileobj=tar.extractfile(name)) as layer:
                layer.extractall(path, numeric_owner=True)
    return path


def test_what_it_says_of_itself(image):
    print(image.said)
    config = image.config["config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/usr/bin/berth"]
    assert config["Cmd"] == ["serve", "/etc/distribution/config.yml"]
    assert config["ExposedPorts"] == {"5000/tcp": {}}
    assert config["Volumes"] == {"/var/lib/registry": {}}
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/berth", "health",
                                             "/etc/distribution/config.yml"]
    assert any(n.endswith("/berth:latest") for n in image.names)
    size = int(re.search(r": (\d+) bytes unpacked", image.said).group(1))
    assert size < 40_000_000, "what else has come into the image?"


def test_what_is_in_it(image, root):
    assert (root / "etc/docker/registry/config.yml").read_text() == \
        (root / "etc/distribution/config.yml").read_text()
    for name in ("usr/bin/berth", "bin/registry", "etc/ssl/certs/ca-certificates.crt"):
        assert (root / name).exists(), name
    # No shell, nothing that is more than its owner, and one directory for the user's data.
    assert sorted(p.name for p in (root / "usr/bin").iterdir()) == ["berth", "registry"]
    for path in root.rglob("*"):
        if path.is_symlink():
            continue
        info = path.lstat()
        assert not info.st_mode & 0o6000, path
        if path != root / "tmp":
            assert not info.st_mode & 0o022, path
        assert info.st_uid == (USER if path == root / "var/lib/registry" else 0), path
    assert (root / "var/lib/registry").stat().st_mode & 0o777 == 0o700
    # Every file of a package has its package named, for scanners.
    status = {p.name for p in (root / "var/lib/dpkg/status.d").iterdir()}
    assert {"berth", "libc6", "libssl3", "libsqlite3-0", "ca-certificates"} <= status


def test_the_same_package_gives_the_same_image(image, deb, tmp_path):
    again = Built(tmp_path, deb)
    assert again.layers == image.layers
    unmount_below(again.home.path)


@pytest.mark.parametrize("config", ["/etc/distribution/config.yml", "/etc/docker/registry/config.yml"])
def test_in_a_chroot(root, config, tmp_path):
    """The user of the image, and nothing of this machine: no /proc, no /dev, no libraries."""
    port, debug = free_ports(2)
    env = {"PATH": "/usr/sbin:/usr/bin", "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}",
           "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{debug}"}
    enter = ["chroot", f"--userspec={USER}:{USER}", "--groups=", str(root)]
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/tmp") and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o111)
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen([*enter, "/usr/bin/berth", "serve", config], stdout=log, stderr=log,
                                  env=env)
    try:
        def health():
            return subprocess.run([*enter, "/usr/bin/berth", "health", config], env=env, check=False,
                                  capture_output=True, text=True)
        assert health().returncode == 1 or server.poll() is None
        wait_for(lambda: server.poll() is not None or health().returncode == 0, 30, "health")
        assert server.poll() is None, (tmp_path / "log").read_text()
        c = Client(f"http://127.0.0.1:{port}")
        body = c.push_image("a/b", "1", layers=(os.urandom(200_000),))
        assert c.manifest("a/b", "1").content == body
        assert (root / "var/lib/registry/blobs").is_dir()
        server.terminate()
        assert server.wait(60) == 0
        r = health()
        assert r.returncode == 1 and "nobody answers" in r.stderr
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def started(r):
    if r.returncode == 0:
        return
    text = (r.stderr + r.stdout).lower()
    if any(reason in text for reason in NOT_ALLOWED):
        pytest.skip("this machine runs no containers: " + r.stderr.strip()[-300:])
    raise AssertionError(r.stderr)


def settings(port, debug):
    return ["-e", f"REGISTRY_HTTP_ADDR=127.0.0.1:{port}", "-e",
            f"REGISTRY_HTTP_DEBUG_ADDR=127.0.0.1:{debug}"]


def up(port, alive, seconds=60):
    def answered():
        try:
            return Client(f"http://127.0.0.1:{port}").get("/v2/").status_code == 200
        except OSError:
            return not alive()
    wait_for(answered, seconds, "the registry in its container")


LIMITS = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]


def test_podman_runs_it(image, tmp_path):
    require("podman")
    port, debug = free_ports(2)
    home = Home(tmp_path / "podman")
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\n"
                      "http: {headers: {X-Mounted: [here]}}\n")
    try:
        home.podman("load", "-i", image.archive)
        # The configuration at registry:2's place; the default command reads registry:3's.
        r = home.podman("run", "-d", "--name", "registry", "--network=host", *LIMITS,
                        *settings(port, debug), "-v", f"{config}:/etc/docker/registry/config.yml:ro",
                        "berth:latest", check=False)
        started(r)

        def alive():
            return home.podman("inspect", "-f", "{{.State.Running}}", "registry").stdout.strip() == "true"

        up(port, alive)
        if not alive():
            logs = home.podman("logs", "registry", check=False)
            started(subprocess.CompletedProcess([], 1, logs.stdout, logs.stderr))
        c = Client(f"http://127.0.0.1:{port}")
        assert c.get("/v2/").headers["X-Mounted"] == "here"
        body = c.push_image("a/b", "1", layers=(os.urandom(200_000),))
        assert c.manifest("a/b", "1").content == body
        health = home.podman("healthcheck", "run", "registry", check=False)
        if "exec" not in health.stderr:
            assert health.returncode == 0, health.stdout + health.stderr
        home.podman("stop", "-t", "30", "registry")
        assert home.podman("inspect", "-f", "{{.State.ExitCode}}", "registry").stdout.strip() == "0"
    finally:
        home.podman("rm", "-af", check=False)
        unmount_below(home.path)
        unmount_below(home.short.name)


def test_docker_runs_it(image):
    require("docker", "dockerd", "containerd")
    port, debug = free_ports(2)
    directory = tempfile.TemporaryDirectory(prefix="berth.", ignore_cleanup_errors=True)
    engine = Docker(Path(directory.name))
    try:
        engine.start()
        engine.run("load", "-i", image.archive)
        r = engine.run("run", "-d", "--name", "registry", "--network=host", "--health-interval=1s",
                       *settings(port, debug), "-v", "data:/var/lib/registry", "--read-only",
                       "--cap-drop=ALL", "--security-opt=no-new-privileges", "berth:latest",
                       check=False)
        started(r)

        def state(what):
            return engine.run("inspect", "-f", "{{.State." + what + "}}", "registry").stdout.strip()

        up(port, lambda: state("Running") == "true")
        assert state("Running") == "true", engine.run("logs", "registry").stderr
        c = Client(f"http://127.0.0.1:{port}")
        body = c.push_image("a/b", "1", layers=(os.urandom(200_000),))
        wait_for(lambda: state("Health.Status") != "starting", 60, "the health check")
        assert state("Health.Status") == "healthy", state("Health")
        engine.run("stop", "-t", "30", "registry")
        assert state("ExitCode") == "0"
        # What registry:2's command line says, and its data from before.
        engine.run("rm", "registry")
        engine.run("run", "-d", "--name", "registry", "--network=host", *settings(port, debug), "-v",
                   "data:/var/lib/registry", "--entrypoint", "registry", "berth:latest", "serve",
                   "/etc/docker/registry/config.yml")
        up(port, lambda: state("Running") == "true")
        assert c.manifest("a/b", "1").content == body
        time.sleep(0.1)
        engine.run("kill", "-s", "TERM", "registry")
        wait_for(lambda: state("Running") == "false", 30, "the end")
        assert state("ExitCode") == "0"
    finally:
        engine.stop()
        directory.cleanup()


# nginx of this machine, in the place of the one that compose-nginx.yml names: nothing is downloaded.
NGINX_CONF = """
user root;
worker_processes 1;
pid /run/nginx.pid;
error_log stderr;
events {}
http { access_log off; include /etc/nginx/conf.d/*.conf; }
"""


def nginx_image(path):
    """docker-archive of `nginx:alpine`: the program, its libraries, and where it writes."""
    program = tool("nginx")
    libraries = re.findall(r"(/\S+)(?: \(0x|$)", subprocess.run(
        ["ldd", program], capture_output=True, text=True, check=True).stdout, re.M)
    root = path / "nginx"
    for name in (program, *libraries):
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(name), target)
    for name in ("etc/nginx", "run", "var/log/nginx", "var/lib/nginx", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "etc/nginx/nginx.conf").write_text(NGINX_CONF)
    (root / "etc/passwd").write_text("root:x:0:0::/:/none\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    for name in glob.glob("/lib/*-linux-gnu/libnss_*.so.2") + glob.glob("/lib/*-linux-gnu/libresolv.so.2"):
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    home = Home(path / "nginx-builder")
    container = home.buildah("from", "scratch").stdout.strip()
    home.buildah("copy", container, root, "/")
    home.buildah("config", "--cmd", json.dumps([program, "-g", "daemon off;"]), container)
    home.buildah("commit", container, "nginx:alpine")
    archive = path / "nginx.tar"
    home.buildah("push", "nginx:alpine", f"docker-archive:{archive}:nginx:alpine")
    unmount_below(home.path)
    return archive


class Composed:
    """A sample compose file with its files beside it, as the documentation says; only the port on
    the outside is a free one."""

    def __init__(self, engine, name, path, mapped):
        self.engine = engine
        self.path = path
        self.port = free_ports(1)[0]
        path.mkdir()
        text = (TOP / "docs/examples" / name).read_text()
        assert mapped in text
        (path / "docker-compose.yml").write_text(
            text.replace(mapped, f"127.0.0.1:{self.port}:{mapped.rsplit(':', 1)[1]}"))
        (path / "data").mkdir(mode=0o700)
        os.chown(path / "data", USER, USER)

    def __call__(self, *args, check=True):
        r = subprocess.run([tool("docker-compose"), *args], cwd=self.path, text=True, check=False,
                           env={**self.engine.home.env, "DOCKER_HOST": self.engine.socket},
                           capture_output=True, timeout=300)
        assert not check or r.returncode == 0, r.stdout + r.stderr
        return r

    def up(self, client):
        started(self("up", "-d", check=False))

        def answers():
            try:
                return client.get("/v2/").status_code == 200
            except OSError:
                return False
        try:
            wait_for(answers, 60, "the registry behind the compose file")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self('logs', check=False).stdout[-3000:]}") from None


def test_compose_files(image, tmp_path):
    """Each for real: its ports, volumes, networks and environment; and what was pushed is there
    after `down` and `up`."""
    require("docker", "dockerd", "containerd", "docker-compose", "htpasswd", "nginx", "buildah")
    certs = Certificates(tmp_path / "issued")
    directory = tempfile.TemporaryDirectory(prefix="berth.", ignore_cleanup_errors=True)
    engine = Docker(Path(directory.name))
    try:
        engine.start()
        engine.run("load", "-i", image.archive)
        engine.run("load", "-i", nginx_image(tmp_path))
        for name, mapped, tls, login in (
                ("compose.yml", "127.0.0.1:5000:5000", False, False),
                ("compose-tls.yml", "443:443", True, False),
                ("compose-htpasswd.yml", "5000:5000", True, True),
                ("compose-nginx.yml", "5043:443", True, True)):
            c = Composed(engine, name, tmp_path / name.removesuffix(".yml"), mapped)
            (c.path / "certs").mkdir()
            for file, names in ((certs.certificate, ("domain.crt", "registry.pem")),
                                (certs.key, ("domain.key", "registry.key"))):
                for wanted in names:
                    shutil.copy(file, c.path / "certs" / wanted)
                    os.chmod(c.path / "certs" / wanted, 0o644)
            (c.path / "auth").mkdir()
            for wanted in ("htpasswd", "registry.htpasswd"):
                (c.path / "auth" / wanted).write_text(subprocess.run(
                    [tool("htpasswd"), "-Bbn", "-C", "5", "ann", "secret"], check=True,
                    capture_output=True, text=True).stdout)
            (c.path / "auth/nginx.conf").write_text(example(
                "nginx-basic-auth.conf", {"server 127.0.0.1:5000;": "server registry:5000;"}))
            client = Client(f"http{'s' if tls else ''}://127.0.0.1:{c.port}",
                            ca=certs.ca if tls else None, auth=("ann", "secret") if login else None)
            try:
                c.up(client)
                body = client.push_image("a/b", "1", layers=(os.urandom(200_000),))
                c("down")
                c.up(client)
                assert client.manifest("a/b", "1").content == body
                if login:
                    stranger = Client(client.url, ca=certs.ca)
                    assert stranger.get("/v2/").status_code == 401
            finally:
                c("down", check=False)
    finally:
        engine.stop()
        directory.cleanup()


def test_the_build_without_a_package_names_what_it_takes():
    r = subprocess.run([TOP / "packaging/container/build", "--nonsense"], capture_output=True,
                       text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]})
    assert r.returncode == 2 and "--deb" in r.stderr and tool("buildah")
