# SPDX-License-Identifier: Apache-2.0
"""The samples in docs/examples: each is named in the documentation; those that are run elsewhere
(test_behind_nginx.py, test_clients_howto_registry.py) are, and the others are at least well-formed
and say what berth understands. The man pages and completions that the binary writes are here too:
they are made from the same tables."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from fronts import EXAMPLES, require, tool
from harness import TOP, binary

DOCS = {"proxies.md": ("nginx*", "haproxy*", "Caddyfile", "traefik*"), "containers.md": ("compose*",)}
COMPOSE = sorted(p.name for p in EXAMPLES.glob("compose*.yml"))


def berth(*args, env=None, **kw):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=1",
                               **(env or {})}, **kw)


def test_each_is_in_the_documentation():
    named = set()
    for page, patterns in DOCS.items():
        links = set(re.findall(r"\(examples/([^)]+)\)", (TOP / "docs" / page).read_text()))
        assert links == {p.name for pattern in patterns for p in EXAMPLES.glob(pattern)}, page
        named |= links
    assert named == {p.name for p in EXAMPLES.iterdir()}


def test_links_in_the_documentation_lead_somewhere():
    for page in ("install.md", "proxies.md", "systemd.md", "containers.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (TOP / "docs" / page).read_text()):
            assert (TOP / "docs" / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_say_what_berth_understands(name, tmp_path):
    """With the files that they mount in place, their environment checks without a word."""
    services = yaml.safe_load((EXAMPLES / name).read_text())["services"]
    registry = services["registry"]
    assert registry["image"] == "localhost/berth:latest"
    assert any(v.endswith(":/var/lib/registry") for v in registry["volumes"])
    env = {k: str(v) for k, v in registry.get("environment", {}).items()}
    if "REGISTRY_HTTP_TLS_CERTIFICATE" in env:
        require("openssl")
        from fronts import Certificates
        certs = Certificates(tmp_path / "certs")
        assert env["REGISTRY_HTTP_TLS_CERTIFICATE"] == "/certs/domain.crt"
        assert env["REGISTRY_HTTP_TLS_KEY"] == "/certs/domain.key"
        assert "./certs:/certs:ro" in registry["volumes"]
        env.update(REGISTRY_HTTP_TLS_CERTIFICATE=str(certs.certificate),
                   REGISTRY_HTTP_TLS_KEY=str(certs.key))
    if "REGISTRY_AUTH_HTPASSWD_PATH" in env:
        assert env["REGISTRY_AUTH_HTPASSWD_PATH"] == "/auth/htpasswd"
        assert "./auth:/auth:ro" in registry["volumes"]
        (tmp_path / "htpasswd").write_text("")
        env["REGISTRY_AUTH_HTPASSWD_PATH"] = str(tmp_path / "htpasswd")
    config = tmp_path / "config.yml"
    config.write_text((TOP / "packaging/container/config.yml").read_text())
    r = berth("config", "check", "--strict", str(config), env=env)
    assert r.returncode == 0, r.stdout + r.stderr
    dump = berth("config", "dump", "--show-origin", str(config), env=env).stdout
    for variable in env:
        assert f"# {variable}" in dump, variable


def test_the_configuration_of_the_image():
    r = berth("config", "check", "--strict", str(TOP / "packaging/container/config.yml"))
    assert r.returncode == 0 and "0 errors, 0 warnings" in r.stdout, r.stdout + r.stderr


def test_the_configurations_that_samples_tell_of(tmp_path):
    """What stands in their comments as berth's part."""
    found = 0
    for path in EXAMPLES.iterdir():
        block = re.search(r"In berth's configuration:\n((?:#   .*\n)+)", path.read_text())
        if block:
            found += 1
            text = re.sub(r"^# {3}", "", block.group(1), flags=re.M)
            assert "http" in yaml.safe_load(text)
            config = tmp_path / "config.yml"
            config.write_text("version: 0.1\nstorage: inmemory\n" + text.replace(
                "/etc/berth/tls", str(tmp_path)))
            if "certificate" in text:
                from fronts import Certificates
                c = Certificates(tmp_path / "c")
                shutil.copy(c.certificate, tmp_path / "server.pem")
                shutil.copy(c.key, tmp_path / "server.key")
            r = berth("config", "check", "--strict", str(config))
            assert r.returncode == 0, f"{path.name}: {r.stdout}{r.stderr}"
    assert found == 2


def test_traefik():
    static = yaml.safe_load((EXAMPLES / "traefik.yml").read_text())
    timeouts = static["entryPoints"]["websecure"]["transport"]["respondingTimeouts"]
    assert timeouts["readTimeout"] == 0 and timeouts["writeTimeout"] == 0
    dynamic = yaml.safe_load((EXAMPLES / "traefik-dynamic.yml").read_text())
    router = dynamic["http"]["routers"]["berth"]
    assert router["service"] in dynamic["http"]["services"]
    assert set(router["entryPoints"]) <= set(static["entryPoints"])
    assert dynamic["http"]["services"]["berth"]["loadBalancer"]["servers"] == [
        {"url": "http://127.0.0.1:5000"}]


def test_caddy_knows_its_file():
    require("caddy")
    r = subprocess.run([tool("caddy"), "adapt", "--adapter", "caddyfile", "--config",
                        str(EXAMPLES / "Caddyfile")], capture_output=True, text=True, timeout=60,
                       check=False, env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]})
    assert r.returncode == 0 and '"dial":"127.0.0.1:5000"' in r.stdout, r.stderr


# --- man pages and completions -------------------------------------------------------------------

@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    directory = tmp_path_factory.mktemp("man")
    names = berth("help", "man").stdout.split()
    for name in names:
        r = berth("help", "man", name, env={"SOURCE_DATE_EPOCH": "1700000000"})
        assert r.returncode == 0
        (directory / name).write_text(r.stdout)
    return directory, names


def commands():
    return re.findall(r"^ {2}([a-z-]+) ", berth("help").stdout, re.M)


def test_there_is_a_page_of_everything(pages):
    _, names = pages
    assert names == ["berth.1", *(f"berth-{c}.1" for c in commands()), "berth-config.5"]
    assert berth("help", "man", "nonsense").returncode == 2
    assert berth("help", "man", "nonsense.5").returncode == 2
    assert berth("help", "man", "x" * 200).returncode == 2
    one = berth("help", "man", "berth-serve.1", env={"SOURCE_DATE_EPOCH": "1"}).stdout
    assert one == berth("help", "man", "serve", env={"SOURCE_DATE_EPOCH": "1"}).stdout
    assert "1970-01-01" in one
    assert ".TH BERTH-CONFIG 1" in berth("help", "man", "berth-config").stdout


def test_pages_are_well_formed(pages):
    directory, names = pages
    if not shutil.which("man") and not shutil.which("mandoc"):
        pytest.skip("neither man nor mandoc is installed")
    for name in names:
        if shutil.which("mandoc"):
            r = subprocess.run(["mandoc", "-Tlint", directory / name], capture_output=True, text=True,
                               timeout=60, check=False)
            assert r.stdout + r.stderr == "", r.stdout + r.stderr
        if shutil.which("man"):
            r = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z",
                                directory / name], capture_output=True, text=True, timeout=60,
                               check=False, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80",
                                                 "MANROFFSEQ": ""})
            assert r.returncode == 0 and r.stderr == "", f"{name}: {r.stderr}"


def test_pages_say_what_the_tables_say(pages):
    directory, _ = pages
    options = dict(re.findall(r"^ {2}--([a-z.]+)=(.*)$", berth("help", "serve").stdout, re.M))
    assert len(options) > 50
    serve = (directory / "berth-serve.1").read_text()
    config = (directory / "berth-config.5").read_text()
    assert {o for o in options if f"\\fB\\-\\-{o}\\fR=" not in serve} == set()
    # A list and a section with the form of their values.
    assert "\\fB\\-\\-http.headers\\fR=\\fIsection of lists\\fR\n" in serve
    assert "Example: {X\\-Content\\-Type\\-Options: [nosniff]}\n" in serve
    # Every row of the reference page: honoured, ignored and refused.
    rows = re.findall(r"^\| \*?`([^`]+)`", berth("help", "options", "--markdown").stdout, re.M)
    assert len(rows) > 100 and "http.listeners[].addr" in rows and "proxy" in rows
    assert {r for r in rows if f"\\fB{r}\\fR (" not in config} == set()
    for command in commands():
        text = (directory / f"berth-{command}.1").read_text()
        assert f".B berth {command}\n" in text


def complete_bash(line):
    script = berth("help", "completion", "bash").stdout
    # Words as readline breaks them: at blanks and "=".
    words = re.findall(r"=|[^ =]+", line)
    if not line or line[-1] in " =":
        words.append("")
    driver = script + "\ncompopt() { :; }\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n_berth\n" \
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    r = subprocess.run(["bash", "--norc", "-c", driver, "bash", *words], capture_output=True, text=True,
                       timeout=60, check=False)
    assert r.returncode == 0 and r.stderr == "", r.stderr
    return set(r.stdout.split())


def complete_fish(line):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = berth("help", "completion", "fish").stdout
    r = subprocess.run(["fish", "--no-config", "-c", f"{script}\ncomplete -C $argv[1]", "--", line],
                       capture_output=True, text=True, timeout=60, check=False,
                       env={"HOME": "/nonexistent", "PATH": f"{Path(binary()).parent}:{os.environ['PATH']}"})
    assert r.stderr == "", r.stderr
    words = {w.split("\t")[0] for w in r.stdout.splitlines()}
    return {w.split("=", 1)[1] if "=" in w and "=" in line else w for w in words}


COMPLETIONS = [
    ("berth ", {"serve", "config", "health", "help", "version"}),
    ("berth con", {"config"}),
    ("berth config ", {"check", "dump", "schema", "init"}),
    ("berth config dump --sh", {"--show-origin"}),
    ("berth serve --log.level=", {"error", "warn", "info", "debug"}),
    ("berth serve --log.level=w", {"warn"}),
    ("berth serve --storage.delete.enabled=", {"true", "false"}),
    ("berth serve --http.lis", {"--http.listeners"}),
    ("berth serve --no", {"--notifications.endpoints"}),
    ("berth import registry2 --verify ", {"size", "full"}),
    ("berth help completion ", {"bash", "zsh", "fish"}),
]


@pytest.mark.parametrize("line, want", COMPLETIONS)
@pytest.mark.parametrize("complete", [complete_bash, complete_fish])
def test_completion(complete, line, want):
    assert want <= {w.rstrip("=") for w in complete(line)}, line


def test_completion_of_files(tmp_path):
    (tmp_path / "server.pem").write_text("")
    assert complete_bash(f"berth serve --http.tls.certificate={tmp_path}/se") == {f"{tmp_path}/server.pem"}
    assert complete_bash(f"berth serve --http.tls.clientcas={tmp_path}/se") == {f"{tmp_path}/server.pem"}
    assert complete_bash(f"berth config check {tmp_path}/se") == {f"{tmp_path}/server.pem"}
    assert complete_bash("berth serve --log.l") == {"--log.level="}


def test_completion_for_zsh(tmp_path):
    script = tmp_path / "_berth"
    script.write_text(berth("help", "completion", "zsh").stdout)
    assert script.read_text().startswith("#compdef berth\n")
    for command in commands():
        assert f"\n    {command})\n" in script.read_text()
    for option in re.findall(r"^ {2}--([a-z.]+)=", berth("help", "serve").stdout, re.M):
        assert f"'--{option}=[" in script.read_text(), option
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    r = subprocess.run(["zsh", "-f", "-n", script], capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 0 and r.stderr == "", r.stderr
    assert berth("help", "completion", "csh").returncode == 2
