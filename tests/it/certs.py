# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by openssl(1): a CA, and what it signs."""

import subprocess
import time
from pathlib import Path


def openssl(*args, **kw):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60,
                          **kw)


class Authority:
    """A CA in a directory; `ca` is its certificate."""

    def __init__(self, path, name="berth test CA"):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.ca = self.path / "ca.crt"
        self.key = self.path / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.ca, "-days", "30", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.n = 0

    def issue(self, name, san="DNS:localhost,IP:127.0.0.1", usage="serverAuth", days="20",
              subject="/CN=localhost"):
        """(certificate, key) files name.crt and name.key, replaced by a rename."""
        self.n += 1
        crt, key = self.path / f"{name}.crt", self.path / f"{name}.key"
        new_crt, new_key = self.path / f"{name}.{self.n}.crt", self.path / f"{name}.{self.n}.key"
        csr = self.path / f"{name}.csr"
        ext = self.path / f"{name}.ext"
        ext.write_text(f"basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n"
                       f"extendedKeyUsage={usage}\n" + (f"subjectAltName={san}\n" if san else ""))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                new_key, "-out", csr, "-subj", subject)
        openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial",
                "-out", new_crt, "-days", days, "-extfile", ext)
        new_key.rename(key)
        new_crt.rename(crt)
        return crt, key


def brief(path, since, left):
    """(certificate, key): signed by itself, valid since so many seconds and for so many more."""
    path.mkdir(parents=True)
    (path / "index").touch()
    (path / "serial").write_text("01\n")
    (path / "ca.cnf").write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {path}/index\n"
                                 f"serial = {path}/serial\nnew_certs_dir = {path}\n"
                                 "default_md = sha256\npolicy = p\n"
                                 "x509_extensions = x\n[p]\ncommonName = supplied\n"
                                 "[x]\nsubjectAltName = DNS:localhost\n")
    crt, key, csr = path / "b.crt", path / "b.key", path / "b.csr"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            key, "-out", csr, "-subj", "/CN=localhost")
    now = time.time()
    dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + s)) for s in (-since, left)]
    openssl("ca", "-batch", "-notext", "-selfsign", "-config", path / "ca.cnf",
            "-keyfile", key, "-in", csr, "-out", crt, "-startdate", dates[0], "-enddate", dates[1])
    return crt, key
