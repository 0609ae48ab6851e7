# SPDX-License-Identifier: Apache-2.0
"""Runs the requests against both servers, and says which differences nobody has documented, and
which documented ones do not occur. Exit status 1 when there is one."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from . import cases, judge, servers, tokens
from .wire import Server

TOP = Path(__file__).resolve().parents[3]
TABLE = TOP / "docs/differences.md"
SHOWN = 8


def berth_binary():
    given = os.environ.get("BERTH_BIN")
    if given:
        return given
    for build in ("build-gcc", "build-clang", "build-asan"):
        path = TOP / build / "src/cli/berth"
        if path.exists():
            return str(path)
    sys.exit("no berth: set BERTH_BIN, or run script/build")


def compare(run, directory, berth):
    """(number of requests, differences) of one run; `berth` is the binary."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "htpasswd").write_text(cases.HTPASSWD)
    if run.startswith("token"):
        (directory / "certificate.pem").write_text(tokens.certificate())
        (directory / "jwks").write_text(tokens.key_set())
    config = directory / "config.yml"
    config.write_text(json.dumps(cases.RUNS[run][0]).replace("{dir}", str(directory)))
    todo = cases.cases_of(run)
    ids = [c.id for c in todo]
    assert len(set(ids)) == len(ids), [i for i in ids if ids.count(i) > 1][:5]
    found, started = [], []
    try:
        for name, binary in (("registry", servers.registry_binary()), ("berth", berth)):
            started.append(servers.Process(name, [binary], directory, config))
        sides = [Server(p.url, p.debug_url) for p in started]
        for case in todo:
            answers = [s.send(case) for s in sides]
            found += judge.differences(case, *answers, *sides)
            for process in started:
                if process.process.poll() is not None:
                    raise RuntimeError(f"{process.name} died at {case.id}:\n{process.log()[-4000:]}")
    finally:
        statuses = [p.stop() for p in started]
    if len(statuses) == 2 and statuses[1] != 0:
        raise RuntimeError(f"berth ended with {statuses[1]}:\n{started[1].log()[-4000:]}")
    return len(todo), found


def show(differences):
    """Equal differences of many requests in one entry."""
    groups = defaultdict(list)
    for d in differences:
        groups[d.what, d.registry, d.berth].append(d.case)
    for (what, registry, berth), ids in sorted(groups.items(), key=lambda g: -len(g[1])):
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        print(f"  {what}, {len(ids)} requests: {' '.join(ids[:SHOWN])}{more}")
        print(f"    registry: {registry[:300]}\n    berth:    {berth[:300]}")


def judge_all(differences, rows):
    """Those that no row covers; the rows count what they cover."""
    open_ = []
    for d in differences:
        row = next((r for r in rows if r.covers(d)), None)
        if row:
            row.hits += 1
        else:
            open_.append(d)
    return open_


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="compare-registry", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(cases.RUNS)}; all")
    parser.add_argument("--all", action="store_true", help="show documented differences too")
    parser.add_argument("--keep", metavar="DIR", help="where the servers' files stay")
    args = parser.parse_args(arguments)
    registry = servers.registry_binary()
    if not registry:
        sys.exit("docker-registry is not installed (Debian's package docker-registry)")
    version, berth = servers.registry_version(registry), berth_binary()
    runs = args.runs or cases.runs_of(version)
    for run in runs:
        if run not in cases.RUNS:
            parser.error(f"there is no run {run}")
    rows = judge.read_table(TABLE, version)
    print(f"registry {version}: {registry}")
    top = Path(args.keep) if args.keep else Path(tempfile.mkdtemp(prefix="compare-registry-"))
    total, open_, gone = 0, [], []
    try:
        for run in runs:
            n, found = compare(run, top / run, berth)
            undocumented = judge_all(found, rows)
            print(f"{run}: {n} requests, {len(found)} differences, "
                  f"{len(undocumented)} of them undocumented")
            show(found if args.all else undocumented)
            total += n
            open_ += undocumented
    finally:
        if not args.keep:
            shutil.rmtree(top, ignore_errors=True)
    if not args.runs:
        gone = [r for r in rows if r.hits == 0]
    for row in gone:
        print(f"docs/differences.md:{row.line}: {row.id} does not occur with registry {version}")
    print(f"{total} requests, {len(open_)} undocumented differences, "
          f"{len(gone)} rows that do not occur")
    return 1 if open_ or gone else 0


if __name__ == "__main__":
    sys.exit(main())
