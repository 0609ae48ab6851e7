# SPDX-License-Identifier: Apache-2.0
"""The command line apart from serving: version, help, usage errors, the configuration file, and the
reference page that is made from the option table."""

import os
import subprocess

import pytest
import requests

from harness import TOP, binary, wait_for


def run(*args, **kw):
    env = {**os.environ, **kw.pop("env", {})}
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=60, env=env, **kw)


def test_version():
    r = run("version")
    assert r.returncode == 0
    assert r.stdout.startswith("berth ") and r.stdout.count("\n") == 1
    assert run("--version").stdout == r.stdout


def test_help_lists_every_command():
    r = run("help")
    assert r.returncode == 0
    for command in ("serve", "version", "help"):
        assert f"  {command} " in r.stdout
        assert f"usage: berth {command}" in run("help", command).stdout
        assert f"usage: berth {command}" in run(command, "--help").stdout
    assert run().stdout == r.stdout


def test_option_reference_is_up_to_date():
    page = run("help", "options", "--markdown").stdout
    assert page == (TOP / "docs/options.md").read_text(), \
        "docs/options.md is stale: berth help options --markdown > docs/options.md"
    assert "--http.addr" in run("help", "serve").stdout


@pytest.mark.parametrize("args, words", [
    (("frobnicate",), "there is no command"),
    (("help", "frobnicate"), "there is no command"),
    (("serve", "--no.such=1"), "there is no option --no.such"),
    (("serve", "--http.addr"), "needs a value"),
    (("serve", "--log.level=loud"), "error|warn|info|debug"),
    (("serve", "--http.timeouts.head=10"), "duration"),
    (("serve", "/nonexistent.yml"), "/nonexistent.yml"),
    (("serve", "a.yml", "b.yml"), "one configuration file at most"),
])
def test_usage_errors_say_what_to_do(args, words):
    r = run(*args)
    assert r.returncode == 2
    assert words in r.stderr
    assert r.stdout == ""


@pytest.mark.parametrize("address, words, status", [
    ("127.0.0.1", "127.0.0.1", 2), ("127.0.0.1:99999", "99999", 2), ("nonsense:port", "nonsense", 2),
    ("unix:/nonexistent/dir/sock", "/nonexistent/dir/sock", 1),
])
def test_bad_addresses(tmp_path, address, words, status):
    r = run("serve", f"--http.addr={address}", f"--storage.filesystem.rootdirectory={tmp_path}/d")
    assert r.returncode == status
    assert words in r.stderr


def test_the_command_that_cron_runs():
    r = run("garbage-collect", "/etc/docker/registry/config.yml", "-m")
    assert r.returncode == 1
    assert "unreachable" in r.stderr and "crontab" in r.stderr


@pytest.mark.parametrize("program", ["registry", "/bin/registry"])
def test_the_name_of_the_program_in_front(program):
    """A container's command may spell out registry's, behind an entry point that is ours."""
    assert run(program, "--version").stdout == run("version").stdout
    assert run(program, "garbage-collect", "-m", "/x.yml").stderr == run("garbage-collect").stderr
    r = run(program, "serve", "/nowhere/config.yml")
    assert r.returncode == 2 and "/nowhere/config.yml cannot be read" in r.stderr
    r = run(program)
    assert r.returncode == 2 and "no command" in r.stderr


def test_a_login_file_that_cannot_be_read(tmp_path):
    """The key is named: Debian's docker-registry comes with a directory there."""
    r = run("serve", "--http.addr=127.0.0.1:0", "--http.debug.addr=", "--storage=inmemory",
            "--auth.htpasswd.realm=r", f"--auth.htpasswd.path={tmp_path}")
    assert r.returncode == 1
    assert f"berth: auth.htpasswd: {tmp_path} is a directory" in r.stderr


def test_closed_standard_streams_are_nobodys_files(tmp_path):
    """What is opened first must not become the place of the log."""
    data = tmp_path / "data"
    p = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", binary(), "serve",
                          "--http.addr=unix:" + str(tmp_path / "s"), "--http.debug.addr=",
                          f"--storage.filesystem.rootdirectory={data}"])
    try:
        wait_for(lambda: p.poll() is not None or (tmp_path / "s").exists(), 30, "the socket")
        places = [os.readlink(f"/proc/{p.pid}/fd/{fd}") for fd in (0, 1, 2)]
    finally:
        p.terminate()
        assert p.wait(30) == 0
    assert places == ["/dev/null"] * 3
    assert "listening" not in (data / "lock").read_text()


@pytest.mark.parametrize("flags, words", [
    (["--http.tls.certificate=/nowhere.crt", "--http.tls.key=/nowhere.key"],
     "berth: http.tls: /nowhere.crt: No such file"),
    (["--validation.manifests.urls.allow=("], "berth: validation: the regular expression"),
])
def test_what_cannot_be_built_says_of_which_section(flags, words):
    r = run("serve", "--http.addr=127.0.0.1:0", "--http.debug.addr=", "--storage=inmemory", *flags)
    assert r.returncode == 1 and words in r.stderr, r.stderr


@pytest.mark.parametrize("name", ["config.yml", "config.yaml"])
def test_a_configuration_alone_is_served(tmp_path, name):
    """The images of registry take it as their command."""
    file = tmp_path / name
    file.write_text("version: 0.9\n")
    r = run(str(file))
    assert r.returncode == 2
    assert f"{file}:1" in r.stderr


def test_file_environment_and_flag_in_that_order(fresh_berth, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("version: 0.1\nstorage:\n  delete:\n    enabled: false\nlog:\n  level: warn\n"
                      "http:\n  headres:\n    X-A: [b]\n")
    unset = {"storage.delete.enabled": None, "log.level": None}
    server = fresh_berth(config=str(config), options=unset)
    r = requests.delete(f"{server.url}/v2/a/manifests/x", timeout=10)
    assert r.status_code == 405 and "switched off" in r.json()["errors"][0]["detail"]
    wait_for(lambda: '"key":"http.headres"' in server.log() and "did you mean" in server.log(),
             what="the warning")
    server.stop()
    by_env = fresh_berth(config=str(config), options=unset,
                         env={"REGISTRY_STORAGE_DELETE_ENABLED": "true"})
    r = requests.delete(f"{by_env.url}/v2/a/manifests/x", timeout=10)
    assert r.status_code == 404
    by_flag = fresh_berth(config=str(config), options={"storage.delete.enabled": "false"},
                          env={"REGISTRY_STORAGE_DELETE_ENABLED": "true"})
    r = requests.delete(f"{by_flag.url}/v2/a/manifests/x", timeout=10)
    assert r.status_code == 405


def test_data_directory_that_cannot_be_used(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    r = run("serve", "--http.addr=127.0.0.1:0", f"--storage.filesystem.rootdirectory={file}/d")
    assert r.returncode == 1
    assert str(file) in r.stderr


def test_faults_are_refused_by_a_build_without_them(tmp_path):
    if os.environ.get("BERTH_RELEASE_BIN") is None and not (TOP / "build-gcc/src/cli/berth").exists():
        pytest.skip("no build without fault points here")
    r = subprocess.run([binary("release"), "serve", f"--storage.filesystem.rootdirectory={tmp_path}/d"],
                       capture_output=True, text=True, timeout=60,
                       env={**os.environ, "BERTH_FAULTS": "stage.sync=EIO"})
    assert r.returncode == 2 and "BERTH_FAULTS" in r.stderr
