# SPDX-License-Identifier: Apache-2.0
"""What stands in front of berth in the tests: Debian's nginx, HAProxy and Caddy with the sample
configurations of docs/examples (paths and ports replaced, nothing else), certificates, and a
client that goes wherever it is sent."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import requests
from harness import TOP, free_ports, wait_for  # noqa: F401
from registry_client import Registry

EXAMPLES = TOP / "docs/examples"


def tool(name):
    return next((f"{d}/{name}" for d in ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
                 if os.access(f"{d}/{name}", os.X_OK)), None) or shutil.which(name)


def require(*names):
    for name in names:
        if not tool(name):
            pytest.skip(f"{name} is not installed")


class Certificates:
    """A certificate authority and a server certificate for this machine, by openssl."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.ca, self.certificate = self.path / "ca.crt", self.path / "domain.crt"
        self.key, self.both = self.path / "domain.key", self.path / "both.pem"
        names = "DNS:localhost,DNS:registry.example.com,IP:127.0.0.1"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj",
                      "/CN=Test CA", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                      "keyUsage=critical,keyCertSign,cRLSign")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", "domain.key", "-out", "domain.csr", "-subj",
                      "/CN=registry.example.com")
        (self.path / "ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n"
                                       "basicConstraints=CA:FALSE\n")
        self._openssl("x509", "-req", "-in", "domain.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                      "-CAcreateserial", "-out", "domain.crt", "-days", "20", "-extfile", "ext")
        self.both.write_bytes(self.certificate.read_bytes() + self.key.read_bytes())

    def _openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.path, check=True, capture_output=True,
                       timeout=60)

    def trust_dir(self, path):
        """A directory as --cert-dir and certs.d want it."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.ca, path / "ca.crt")
        return path


class Client(Registry):
    """Follows absolute addresses of any scheme; from another address of this machine if wanted."""

    def __init__(self, url, ca=None, auth=None, source=None):
        super().__init__(url)
        self.session.verify = str(ca) if ca else False
        self.session.auth = auth
        if source:
            class Bound(requests.adapters.HTTPAdapter):
                def init_poolmanager(self, *args, **kw):
                    super().init_poolmanager(*args, source_address=(source, 0), **kw)

            self.session.mount("http://", Bound())
            self.session.mount("https://", Bound())

    def request(self, method, path, **kw):
        if path.startswith("https://"):
            kw.setdefault("timeout", 60)
            kw.setdefault("allow_redirects", False)
            return self.session.request(method, path, **kw)
        return super().request(method, path, **kw)


def example(name, replacements):
    """The text of a sample with each key replaced; a key that is not in it is a mistake."""
    text = (EXAMPLES / name).read_text()
    for old, new in replacements.items():
        assert old in text, f"{old!r} is not in docs/examples/{name}"
        text = text.replace(old, str(new))
    return text


class Front:
    """A process that listens on some ports."""

    def __init__(self, path, command, ports, env=None, address="127.0.0.1"):
        self.address = address
        self.log_path = Path(path) / "front.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, cwd=path, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, **(env or {})})

        def up():
            return self.process.poll() is not None or all(self._accepts(p) for p in ports)

        try:
            wait_for(up, 30, command[0])
            assert self.process.poll() is None, self.log()
        except BaseException:
            self.stop()
            raise

    def _accepts(self, port):
        try:
            socket.create_connection((self.address, port), 5).close()
            return True
        except OSError:
            return False

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


NGINX = """
daemon off;
user root;
worker_processes 1;
pid {path}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log {path}/access.log;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    include {path}/berth.conf;
}}
"""


def nginx(path, name, replacements, ports, address="127.0.0.1"):
    require("nginx")
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / "nginx.conf").write_text(NGINX.format(path=path))
    (path / "berth.conf").write_text(example(name, replacements))
    command = [tool("nginx"), "-p", str(path), "-e", "stderr", "-c", str(path / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr, checked.stderr
    return Front(path, command, ports, address=address)


def haproxy(path, name, replacements, ports):
    require("haproxy")
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    config = path / "haproxy.cfg"
    config.write_text(example(name, replacements))
    command = [tool("haproxy"), "-f", str(config)]
    checked = subprocess.run([*command, "-c"], capture_output=True, text=True, timeout=30, check=False)
    assert checked.returncode == 0 and "WARNING" not in checked.stderr, checked.stderr
    return Front(path, [*command, "-db"], ports)


def caddy(path, replacements, ports):
    require("caddy")
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    config = path / "Caddyfile"
    # What would reach for the ports of the machine is off.
    config.write_text("{\n    admin off\n    auto_https disable_redirects\n}\n"
                      + example("Caddyfile", replacements))
    return Front(path, [tool("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)], ports,
                 env={"HOME": str(path), "XDG_DATA_HOME": str(path), "XDG_CONFIG_HOME": str(path)})
