# SPDX-License-Identifier: Apache-2.0
"""`berth config check` of files as people have them (tests/it/configs). NAME.expect has what it
prints and its status, line by line; to write them anew after a change that is meant, and read the
difference: BERTH_WRITE_EXPECT=1. A file's head tells the variables it is used with (`# env:`), and
whether Debian's registry 2.8 runs with it (`# registry 2.8: runs`), which is tried where there is
one. compose-NAME.yml are Compose files: their variables over the image's file."""

import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from certs import Authority
from harness import binary

CONFIGS = Path(__file__).parent / "configs"
NAMES = sorted(p.stem for p in CONFIGS.glob("*.yml"))
SECRETS = ("hunter2", "wJalr", "AKIA", "asecret", "vGHU", "c2Vj", "Mk5z", "a8a22e", "abcdefabc",
           "1234567890abcdef", "QWxh", "mailuser")


@pytest.fixture(scope="module")
def files():
    """What /FILES in the configurations stands for: a path of the same length in every run, so that
    the columns behind it stay."""
    with tempfile.TemporaryDirectory(prefix="berth-files-", dir="/tmp") as path:
        authority = Authority(path)
        authority.issue("server")
        authority.issue("token")
        (authority.path / "htpasswd").write_text("")
        yield authority.path


def split_env(pairs):
    return dict(p.split("=", 1) for p in pairs)


def case(name, files, tmp_path):
    """(path, variables, the file's own text) of a configuration."""
    text = (CONFIGS / f"{name}.yml").read_bytes()
    env, own = {}, text.decode()
    if name.startswith("compose-"):
        (service,) = yaml.safe_load(text)["services"].values()
        env = service["environment"]
        env = split_env(env) if isinstance(env, list) else dict(env)
        image = service["image"].split(":")[1][0]
        text = (CONFIGS / f"registry{image}-image.yml").read_bytes()
    env.update(split_env(re.findall(r"^# env: (.*)$", own, re.M)))
    env = {k: v.replace("/FILES", str(files)) for k, v in env.items()}
    path = tmp_path / "config.yml"
    path.write_bytes(text.replace(b"/FILES", str(files).encode()))
    return path, env, own


def clean(env):
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("REGISTRY_", "OTEL_"))},
            **env}


def config(command, path, env):
    return subprocess.run([binary(), "config", *command, str(path)], capture_output=True, text=True,
                          timeout=60, env=clean(env))


def plain(r, path, files):
    text = (r.stdout + r.stderr).replace(str(path), "config.yml").replace(str(files), "/FILES")
    return f"{text}status {r.returncode}\n"


@pytest.mark.parametrize("name", NAMES)
def test_check(name, files, tmp_path):
    path, env, _ = case(name, files, tmp_path)
    said = plain(config(["check"], path, env), path, files)
    expected = CONFIGS / f"{name}.expect"
    if os.environ.get("BERTH_WRITE_EXPECT"):
        expected.write_text(said)
    assert said == expected.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_shows_a_secret(name, files, tmp_path):
    """check, and dump with origins (of what can be used)."""
    path, env, _ = case(name, files, tmp_path)
    for command in (["check"], ["check", "--strict"], ["dump"], ["dump", "--show-origin"]):
        r = config(command, path, env)
        for secret in SECRETS:
            assert secret not in r.stdout + r.stderr, " ".join(command)


def test_the_secrets_are_in_the_files():
    text = "".join(p.read_text(encoding="utf-8") for p in CONFIGS.glob("*.yml"))
    assert [s for s in SECRETS if s not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_dump_is_the_same_configuration(name, files, tmp_path):
    """What is dumped can be used, and says the same (but for secrets and unknown keys)."""
    path, env, _ = case(name, files, tmp_path)
    first = config(["dump"], path, env)
    if first.returncode:
        assert config(["check"], path, env).returncode == 1
        return
    again = tmp_path / "again.yml"
    again.write_text(first.stdout.replace("******", "put-back"))
    second = config(["dump"], again, {})
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout


def registry_starts(path, env, tmp_path):
    """Does registry 2.8 come as far as listening? (started, output)."""
    env = {**env, "REGISTRY_HTTP_ADDR": "127.0.0.1:0", "REGISTRY_HTTP_NET": "tcp"}
    if "debug" in yaml.safe_load(path.read_bytes())["http"]:
        env["REGISTRY_HTTP_DEBUG_ADDR"] = "127.0.0.1:0"
    env["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(tmp_path / "data")
    process = subprocess.Popen(["docker-registry", "serve", str(path)], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=clean(env))
    said = b""
    end = time.monotonic() + 30
    try:
        while time.monotonic() < end and b"listening on" not in said:
            if select.select([process.stdout], [], [], 1)[0]:
                more = os.read(process.stdout.fileno(), 65536)
                if not more:
                    break
                said += more
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
    return b"listening on" in said, said.decode(errors="replace")


@pytest.mark.parametrize("name", NAMES)
def test_registry_agrees(name, files, tmp_path):
    """A file that registry 2.8 runs with is one that berth runs with."""
    path, env, text = case(name, files, tmp_path)
    if "# registry 2.8: runs" not in text:
        pytest.skip("not a file of registry 2.8, or refused here for a reason")
    if not shutil.which("docker-registry"):
        pytest.skip("no docker-registry")
    started, said = registry_starts(path, env, tmp_path)
    assert started, said
    assert config(["check"], path, env).returncode == 0
