# SPDX-License-Identifier: Apache-2.0
"""berth config: check, dump, schema, init, from the outside; and a server that runs with the
configuration of well-known images."""

import json
import os
import re
import subprocess

import pytest
import requests
import yaml

from harness import binary

# The configuration of the registry:2 image, and of registry:3.
IMAGE_2 = """version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
IMAGE_3 = IMAGE_2.replace("  cache:\n    blobdescriptor: inmemory\n",
                          "  tag:\n    concurrencylimit: 8\n")
FULL = """version: 0.1
log: {level: warn, formatter: logstash, fields: {a: b}, accesslog: {disabled: true}}
http:
  addr: unix:/run/x
  host: https://r.example.com
  prefix: /r/
  relativeurls: true
  secret: hush
  draintimeout: 1m30s
  headers: {X-A: [b, c]}
  tls: {minimumtls: tls1.3}
  debug: {addr: ':5001', prometheus: {enabled: true, path: /metrics}}
  listeners: [{addr: ':80', proxyprotocol: true}]
  trustedproxies: [10.0.0.0/8, unix]
  limits: {connections: 4}
  timeouts: {head: 1.5s}
storage:
  filesystem: {rootdirectory: /d}
  delete: {enabled: true}
  maintenance: {uploadpurging: {enabled: true, age: 168h, interval: 24h, dryrun: false}}
  cache: {manifests: 64MiB}
auth: {htpasswd: {realm: r, path: /p}}
validation: {manifests: {urls: {allow: ['^a']}, indexes: {platforms: all}}}
policy: {repository: {classes: [image]}}
catalog: {maxentries: 10}
tags: {maxtags: 10}
notifications:
  envelope: 3
  endpoints: [{name: a, url: 'http://a/', headers: {A: [b]}, timeout: 1s, threshold: 3}]
health:
  storagedriver: {enabled: true}
  file: [{file: /f}]
  http: [{uri: 'http://a/', statuscode: 200}]
  tcp: [{addr: 'a:1', interval: 10s}]
"""


def run(*args, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_")}
    return subprocess.run([binary(), "config", *map(str, args)], capture_output=True, text=True,
                          timeout=60, env={**clean, **(env or {})})


@pytest.fixture
def write(tmp_path):
    def make(text, name="config.yml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    r = run("schema")
    assert r.returncode == 0, r.stderr
    schema = json.loads(r.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


# --- check ---

@pytest.mark.parametrize("text, warning", [(IMAGE_2, "storage.cache.blobdescriptor: ignored"),
                                           (IMAGE_3, "storage.tag: ignored")])
def test_check_of_the_images_files(write, text, warning):
    r = run("check", "--strict", write(text))
    assert r.returncode == 0, r.stdout
    assert warning in r.stdout
    assert r.stdout.splitlines()[-1].endswith("config.yml: 0 errors, 1 warning")


def test_check_names_every_mistake(write):
    path = write("version: 0.1\nlog:\n  level: loud\nhttp:\n  adr: x\n  loops: 1000\n")
    r = run("check", path, env={"REGISTRY_TAGS_MAXTAGS": "-1", "REGISTRY_FOO": "1"})
    assert r.returncode == 1
    lines = r.stdout.splitlines()
    for line in (f"{path}:3:3: error: log.level: \"loud\" is not one of error|warn|info|debug",
                 f"{path}:5:3: warning: http.adr: berth does not know this key; it is ignored; "
                 "did you mean \"addr\"?",
                 f"{path}:6:3: error: http.loops: 1000 is out of range: it takes 0 to 256",
                 "REGISTRY_TAGS_MAXTAGS: error: tags.maxtags: -1 is out of range: it takes 0 to "
                 "9223372036854775807",
                 "REGISTRY_FOO: warning: berth does not know this variable; it is ignored",
                 f"{path}: 3 errors, 2 warnings"):
        assert line in lines, r.stdout


def test_strict_makes_unknown_keys_errors(write):
    path = write("version: 0.1\nhtpt: {}\n")
    assert run("check", path).returncode == 0
    r = run("check", "--strict", path)
    assert r.returncode == 1
    assert f'{path}:2:1: error: htpt: berth does not know this key; did you mean "http"?' in r.stdout
    r = run("check", "--strict", write("version: 0.1\n"), env={"REGISTRY_FOO": "1"})
    assert r.returncode == 1
    assert "REGISTRY_FOO: error: berth does not know this variable\n" in r.stdout


def test_kubernetes_variables_are_not_even_noticed(write):
    r = run("check", "--strict", write("version: 0.1\n"), env={
        "REGISTRY_PORT": "tcp://10.0.0.1:5000", "REGISTRY_SERVICE_HOST": "10.0.0.1",
        "REGISTRY_PORT_5000_TCP_ADDR": "10.0.0.1", "REGISTRY_AUTH_SERVICE_PORT": "80"})
    assert r.returncode == 0
    assert r.stdout.endswith(": 0 errors, 0 warnings\n")


@pytest.mark.parametrize("text, words", [
    ("http: {tls: {certificate: /nonexistent.pem, key: /nonexistent.key}}", "/nonexistent"),
    ("validation: {manifests: {urls: {allow: ['(']}}}", "validation.manifests.urls"),
    ("auth: {token: {realm: a, service: b, issuer: c, jwks: /nonexistent.json}}",
     "/nonexistent.json cannot be read: No such file or directory"),
])
def test_check_looks_at_what_the_file_names(write, text, words):
    r = run("check", write(f"version: 0.1\n{text}\n"))
    assert r.returncode == 1
    assert words in r.stdout


TOKEN = "auth: {token: {realm: a, service: b, issuer: c, %s}}"


@pytest.mark.parametrize("text, files, where, words", [
    ("auth: {htpasswd: {realm: r, path: /DIR}}", {}, "2:29: error: auth.htpasswd.path",
     "/DIR is a directory"),
    ("auth: {htpasswd: {realm: r, path: /DIR/h}}", {"h": "# users\nann:$2y$05$x\nbob\n"},
     "2:29: error: auth.htpasswd.path", "/DIR/h: line 3 is not USER:HASH"),
    ("auth: {htpasswd: {realm: r, path: /DIR/h}}", {"h": "ann:{SHA}x\n"},
     "2:29: warning: auth.htpasswd.path", "/DIR/h: 1 of its entries are no bcrypt"),
    ("auth: {htpasswd: {realm: r, path: /DIR/h}}", {}, "2:29: warning: auth.htpasswd.path",
     "/DIR/h does not exist: serve makes it with the user docker and a random password, which it "
     "logs"),
    (TOKEN % "rootcertbundle: /DIR", {}, "2:49: error: auth.token.rootcertbundle",
     "/DIR is a directory"),
    (TOKEN % "rootcertbundle: /DIR/k", {"k": "-----BEGIN CERTIFICATE-----\n*\n"},
     "2:49: error: auth.token.rootcertbundle", "/DIR/k: block 1 of the certificates is not valid"),
    (TOKEN % "jwks: /DIR/k", {"k": "{}"}, "2:49: error: auth.token.jwks",
     "/DIR/k: the JWKS is not an object with a list `keys`"),
    (TOKEN % "jwks: /DIR/k", {"k": '{"keys": []}'}, "2:49: error: auth.token.jwks",
     "/DIR/k: there is no key to verify tokens with"),
    (TOKEN % "rootcertbundle: /DIR/p, jwks: /DIR/k", {"p": "", "k": '{"keys": []}'},
     "2:49: error: auth.token.rootcertbundle", "/DIR/p, /DIR/k: there is no key to verify"),
    (TOKEN % "jwks: /DIR/k", {"k": " " * (1 << 20) + "{}"}, "2:49: error: auth.token.jwks",
     "/DIR/k is larger than 1024 KiB"),
])
def test_check_reads_users_and_keys(write, tmp_path, text, files, where, words):
    folder = tmp_path / "named"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    path = write(f"version: 0.1\n{text}\n".replace("/DIR", str(folder)))
    r = run("check", path)
    assert r.returncode == ("error" in where)
    line = f"{path}:{where}: {words}".replace("/DIR", str(folder))
    assert line in r.stdout


def test_too_many_headers_and_fields_are_said(write):
    many = json.dumps({f"X-{i}": ["x" * 1000] for i in range(33)})
    fields = json.dumps({f"f{i}": "x" for i in range(33)})
    r = run("check", write(f"version: 0.1\nhttp: {{headers: {many}}}\nlog: {{fields: {fields}}}\n"))
    assert "error: http.headers: more than 32 KiB" in r.stdout
    assert "warning: log.fields: more than 32" in r.stdout


def test_check_goes_on_after_an_error(write):
    """Whatever else is wrong, the files and expressions are looked at, each with its place."""
    path = write("""version: 0.1
http:
  addr: nowhere
  tls: {certificate: /nonexistent.pem, key: /nonexistent.key, clientcas: [/nonexistent.ca]}
validation: {manifests: {urls: {allow: ['a'], deny: ['(']}}}
auth: {token: {realm: a, service: b, issuer: c, rootcertbundle: /nonexistent.ca}}
""")
    r = run("check", path)
    assert r.returncode == 1
    for line in ("3:3: error: http.addr: ", "4:9: error: http.tls.certificate: /nonexistent.pem",
                 "4:40: error: http.tls.key: /nonexistent.key: No such file",
                 "4:63: error: http.tls.clientcas: /nonexistent.ca: No such file",
                 "5:47: error: validation.manifests.urls.deny: ",
                 "6:49: error: auth.token.rootcertbundle: /nonexistent.ca cannot be read"):
        assert f"{path}:{line}" in r.stdout
    assert r.stdout.endswith(": 6 errors, 0 warnings\n")
    r = run("check", "--http.loops=x", "--http.tls.certificate=/nonexistent.pem",
            "--http.tls.key=/nonexistent.key")
    assert "--http.tls.certificate: error: http.tls.certificate: /nonexistent.pem" in r.stdout


def test_a_dump_without_its_secrets(write):
    text = "version: 0.1\nnotifications: {endpoints: [{url: 'http://a/', headers: {A: [hush]}}]}\n"
    r = run("check", write(run("dump", write(text)).stdout, "again.yml"))
    assert r.returncode == 1
    assert "error: notifications.endpoints[0].headers.A[0]: ****** stands where a dump hides a " \
           "secret" in r.stdout


def test_deletes_are_off_with_a_file(write):
    """No file of registry's switches them on by what it leaves out; berth alone has them on."""
    path = write("version: 0.1\nstorage: {delete: {}}\n")
    assert "  delete:\n    enabled: false  # default\n" in run("dump", "--show-origin", path).stdout
    assert "  delete:\n    enabled: true  # default\n" in run("dump", "--show-origin").stdout
    assert "    enabled: true  # flag --storage.delete.enabled\n" in run(
        "dump", "--show-origin", path, "--storage.delete.enabled").stdout


def test_the_variable_of_skopeo(write):
    r = run("check", "--strict", write("version: 0.1\nauth: {silly: {realm: a, service: b}}\n"),
            env={"REGISTRY_AUTH_FILE": "/run/user/0/containers/auth.json"})
    assert r.returncode == 0
    assert "REGISTRY_AUTH_FILE: warning: passed over: this is the variable by which skopeo" \
        in r.stdout
    r = run("check", env={"REGISTRY_AUTH_FILE": "{a: b}"})
    assert r.returncode == 1 and "berth knows no kind of login" in r.stdout


def test_check_without_a_file():
    r = run("check", env={"REGISTRY_LOG_LEVEL": "debug"})
    assert r.returncode == 0 and r.stdout == "the environment: 0 errors, 0 warnings\n"


def test_the_path_by_variable(write):
    r = run("check", env={"REGISTRY_CONFIGURATION_PATH": str(write("version: 0.1\nlog: 1\n"))})
    assert r.returncode == 1 and "config.yml:2:1: error: log" in r.stdout


# --- dump ---

def test_dump_is_a_configuration_again(write):
    first = run("dump", write(FULL))
    assert first.returncode == 0, first.stderr
    second = run("dump", write(first.stdout.replace("******", "hush"), "again.yml"))
    assert second.stdout == first.stdout
    data = yaml.safe_load(first.stdout)
    assert data["http"]["timeouts"] == {"head": "1s500ms", "idle": "2m", "stall": "1m"}
    assert data["auth"] == {"htpasswd": {"realm": "r", "path": "/p"}}
    assert "hush" not in first.stdout


def test_dump_with_origins(write):
    path = write("version: 0.1\nhttp: {prefix: /p/}\n")
    r = run("dump", "--show-origin", path, "--tags.maxtags=5", env={"REGISTRY_LOG_LEVEL": "warn"})
    assert f"  prefix: /p/  # {path}:2\n" in r.stdout
    assert "  level: warn  # REGISTRY_LOG_LEVEL\n" in r.stdout
    assert "  maxtags: 5  # flag --tags.maxtags\n" in r.stdout
    assert "  addr: 127.0.0.1:5000  # default\n" in r.stdout


def test_dump_of_what_is_wrong(write):
    path = write("version: 0.1\nlog: {level: loud}\n")
    r = run("dump", path)
    assert r.returncode == 1 and r.stdout == ""
    assert f"berth: {path}:2:7: log.level" in r.stderr


# --- schema and init ---

def test_the_schema_takes_good_files(validator):
    for text in (IMAGE_2, IMAGE_3, FULL, run("init").stdout, run("dump").stdout):
        validator.validate(yaml.safe_load(text))


@pytest.mark.parametrize("text", [
    "log: {}", "version: 0.2", "version: 0.1\nlog: {level: loud}", "version: 0.1\nhtpt: {}",
    "version: 0.1\nhttp: {headers: {a: b}}", "version: 0.1\nproxy: {remoteurl: 'https://a'}",
    "version: 0.1\nstorage: {s3: {bucket: b}}", "version: 0.1\nhttp: {draintimeout: soon}",
    "version: 0.1\nhttp: {loops: 257}", "version: 0.1\nhttp: {draintimeout: -1}",
    "version: 0.1\nhttp: {timeouts: {head: 99000000}}", "version: 0.1\nstorage: s3",
    "version: 0.1\nauth: ldap", "version: 0.1\nhttp: {headers: {a: [~]}}",
    "version: 0.1\nnotifications: {endpoints: [~]}",
])
def test_the_schema_refuses_bad_files(validator, write, text):
    assert not validator.is_valid(yaml.safe_load(text))
    assert run("check", "--strict", write(text)).returncode == 1


@pytest.mark.parametrize("text", [
    "storage: inmemory", "storage: ''", "auth: none", "auth: None", "auth: ''", "storage: ~",
    "http: {draintimeout: 0}", "http: {timeouts: {head: 99000001, idle: 100ms}}",
    "http: {headers: {a: [1, b]}}", "http: {trustedproxies: []}",
])
def test_the_schema_takes_what_the_check_takes(validator, write, text):
    validator.validate(yaml.safe_load(f"version: 0.1\n{text}"))
    assert run("check", "--strict", write(f"version: 0.1\n{text}\n")).returncode == 0


def test_init_is_accepted(write):
    r = run("check", "--strict", write(run("init").stdout))
    assert r.returncode == 0 and r.stdout.endswith(": 0 errors, 0 warnings\n")


def test_every_line_of_init_can_be_uncommented(write):
    """Each commented key, on its own, is a configuration that is at most warned of."""
    lines = run("init").stdout.splitlines()
    tried = 0
    for i, line in enumerate(lines):
        m = re.fullmatch(r"( *)#([a-z]+: \S.*)", line)
        if not m or m.group(2).startswith(("certificate", "key", "tls", "listeners", "clientcas")):
            continue
        text = "\n".join(lines[:i] + [m.group(1) + m.group(2)] + lines[i + 1:]) + "\n"
        r = run("dump", write(text))
        assert r.returncode == 0, f"{line}: {r.stderr}"
        tried += 1
    assert tried > 40


def test_auth_of_init(write):
    """The commented section, without the kinds that are not wanted."""
    lines = run("init").stdout.splitlines()
    start = lines.index("#auth:")
    end = next(i for i in range(start, len(lines)) if not lines[i])
    section = [line[1:] for line in lines[start:end]]
    cut = next(i for i, line in enumerate(section) if line == "  token:") - 1
    text = "\n".join(lines[:start] + section[:cut] + lines[end:]) + "\n"
    r = run("dump", write(text))
    assert r.returncode == 0, r.stderr
    assert yaml.safe_load(r.stdout)["auth"]["htpasswd"]["path"] == "/etc/berth/htpasswd"


# --- the command line ---

@pytest.mark.parametrize("args, words", [
    ((), "which of them"), (("frobnicate",), "there is no `berth config` frobnicate"),
    (("check", "a.yml", "b.yml"), "one configuration file at most"),
    (("schema", "x"), "too many arguments"), (("init", "x"), "too many arguments"),
])
def test_usage(args, words):
    r = run(*args)
    assert r.returncode == 2 and words in r.stderr and r.stdout == ""


# --- a server with it ---

def test_a_server_from_the_images_file_and_environment(fresh_berth, write, tmp_path):
    path = write(IMAGE_2)
    server = fresh_berth(
        config=str(path), options={"storage.filesystem.rootdirectory": None},
        env={"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "registry"),
             "REGISTRY_HTTP_HEADERS_X-CONTENT-TYPE-OPTIONS": "[other]",
             "REGISTRY_PORT": "tcp://10.0.0.1:5000",
             "REGISTRY_STORAGE_DELETE_ENABLD": "true"})
    r = requests.get(f"{server.url}/v2/", timeout=10)
    assert r.status_code == 200
    assert r.headers["X-Content-Type-Options"] == "other"
    assert (tmp_path / "registry" / "berth.db").exists()
    server.stop()  # with all that it logged
    log = server.log()
    assert "did you mean" in log and "REGISTRY_STORAGE_DELETE_ENABLD" in log
    assert "REGISTRY_PORT" not in log
