# SPDX-License-Identifier: Apache-2.0
"""Fixtures: `berth`, a server that all tests of a session share (each with a repository of its
own, `repo`), and `fresh_berth`, a maker of servers that belong to one test."""

import itertools
import re

import pytest
from harness import Berth
from registry_client import Registry

COUNTER = itertools.count(1)


@pytest.fixture(scope="session")
def shared_berth(tmp_path_factory):
    server = Berth(tmp_path_factory.mktemp("berth"))
    yield server
    server.stop()


@pytest.fixture
def berth(shared_berth):
    if not shared_berth.alive():  # a crash fails the test that caused it, and no other
        shared_berth.restart()
    yield shared_berth
    assert shared_berth.alive(), f"the server died:\n{shared_berth.log()[-6000:]}"
    shared_berth.check_log()


@pytest.fixture
def registry(berth):
    return Registry(berth.url)


@pytest.fixture
def repo(request):
    """The name of a repository that no other test uses."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")
    return f"t{next(COUNTER)}/{name}"


@pytest.fixture
def fresh_berth(tmp_path):
    """Call it with the options of harness.Berth; all servers made are stopped and checked."""
    made = []

    def make(**kw):
        server = Berth(tmp_path / f"berth{len(made)}", **{**kw, "start": False})
        made.append(server)
        if kw.get("start", True):
            server.start()
        return server

    yield make
    failures = []
    for server in made:
        try:
            if server.process is not None and server.alive():
                server.stop()
            server.check_log()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n".join(failures)
