# SPDX-License-Identifier: Apache-2.0
"""curl by hand: what a person types, with curl's own habits (Expect: 100-continue for bodies above
1 MiB, -T with and without a length, resuming downloads)."""

import json
import os

import pytest
from clients import Home, require
from registry_client import OCI_MANIFEST, closing, digest, image


@pytest.fixture(scope="module", autouse=True)
def installed():
    require("curl")


@pytest.fixture
def curl(tmp_path, registry):
    home = Home(tmp_path / "client")

    def run(*args, **kw):
        return home.run("curl", "-sS", "--noproxy", "*", "--max-time", "60", *args, **kw)

    return run


def location(headers):
    for line in headers.splitlines():
        if line.lower().startswith("location:"):
            return line.split(":", 1)[1].strip()
    raise AssertionError(headers)


@pytest.mark.parametrize("size", [500, 3_000_000])
def test_push_and_pull_by_hand(curl, registry, repo, tmp_path, size):
    data = os.urandom(size)
    layer = tmp_path / "layer"
    layer.write_bytes(data)
    url = f"{registry.url}/v2/{repo}"
    out = curl("-i", "-X", "POST", f"{url}/blobs/uploads/").stdout
    assert " 202 " in out.splitlines()[0]
    session = registry.url + location(out)
    out = curl("-v", "-i", "-X", "PUT", "-H", "Content-Type: application/octet-stream",
               "--data-binary", f"@{layer}", closing(session, digest(data)))
    assert " 201 " in out.stdout
    if size > 1 << 20:
        assert "100 Continue" in out.stderr + out.stdout
    curl("-f", "-X", "POST", "--data-binary", "{}", f"{url}/blobs/uploads/?digest={digest(b'{}')}")
    body = image(b"{}", [data])
    (tmp_path / "manifest").write_bytes(body)
    out = curl("-i", "-f", "-T", tmp_path / "manifest", "-H", f"Content-Type: {OCI_MANIFEST}",
               f"{url}/manifests/hand").stdout
    assert digest(body) in out
    curl("-f", "-o", tmp_path / "back", f"{url}/blobs/{digest(data)}")
    assert (tmp_path / "back").read_bytes() == data
    assert json.loads(curl(f"{url}/tags/list").stdout) == {"name": repo, "tags": ["hand"]}


def test_streamed_from_a_pipe(curl, registry, repo, tmp_path):
    """-T - has no length: chunked."""
    data = os.urandom(2_500_000)
    session = registry.url + registry.start(repo)
    (tmp_path / "x").write_bytes(data)
    with open(tmp_path / "x", "rb") as f:
        out = curl("-i", "-X", "PATCH", "-T", "-", session, stdin=f).stdout
    assert " 202 " in out
    assert registry.finish(location(out), digest(data)).status_code == 201


def test_resumed_download(curl, registry, repo, tmp_path):
    data = os.urandom(1_000_000)
    dgst = registry.push_blob(repo, data)
    part = tmp_path / "part"
    part.write_bytes(data[:300_000])
    curl("-f", "-C", "-", "-o", part, f"{registry.url}/v2/{repo}/blobs/{dgst}")
    assert part.read_bytes() == data


def test_an_unwanted_large_body_is_refused_before_it_is_sent(curl, registry, repo, tmp_path):
    (tmp_path / "big").write_bytes(bytes(30_000_000))
    out = curl("-i", "-X", "PUT", "-H", f"Content-Type: {OCI_MANIFEST}", "-H",
               "Expect: 100-continue", "--data-binary", f"@{tmp_path / 'big'}", "-w",
               "\nsent %{size_upload}\n", f"{registry.url}/v2/{repo}/manifests/t", check=False)
    assert " 413 " in out.stdout.splitlines()[0]
    assert "sent 0" in out.stdout


def test_head_and_errors(curl, registry, repo):
    url = f"{registry.url}/v2/{repo}"
    out = curl("-I", f"{url}/manifests/none").stdout
    assert out.startswith("HTTP/1.1 404")
    out = curl(f"{url}/manifests/none").stdout
    assert json.loads(out)["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    assert curl("-f", f"{url}/manifests/none", check=False).returncode == 22


def test_unix_socket(fresh_berth, curl, tmp_path):
    server = fresh_berth(addr=f"unix:{tmp_path / 'b.sock'}")
    out = curl("--unix-socket", tmp_path / "b.sock", "http://localhost/v2/").stdout
    assert out == "{}"
    assert server.alive()
