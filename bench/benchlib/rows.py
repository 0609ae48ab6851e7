# SPDX-License-Identifier: Apache-2.0
"""The workloads, and how one of them is measured: candidates interleaved within each round, the
order turning from round to round, the ratio taken per round, the median over the rounds."""

import statistics
import time
from dataclasses import dataclass, field

from . import seed
from .machine import Foreign

ACCEPT = ",".join([seed.MANIFEST, "application/vnd.oci.image.index.v1+json",
                   "application/vnd.docker.distribution.manifest.v2+json",
                   "application/vnd.docker.distribution.manifest.list.v2+json"])
PROBE_LIMIT = 0.15    # rounds whose SHA-256 probe is further off the median are discarded
FOREIGN_LIMIT = 0.10  # so are rounds in which others had more than this share of the machine


@dataclass
class Row:
    """One workload. `args` are the load generator's; `unit` is what is compared."""

    name: str
    group: str                  # read or write: which pair of stores it runs on
    args: list
    unit: str = "req/s"
    paths: str = ""             # key of seed.write_paths, for reads
    seconds: bool = True        # bounded by time; else by a count in args
    candidates: tuple = ("berth", "registry")
    goals: dict = field(default_factory=lambda: {"registry": 1.0})  # peer -> least berth/peer
    note: str = ""
    lower: bool = False         # the value is a latency: the ratio is peer/berth, above 1 is better


def get(name, paths, conns, nginx_goal=None, nginx=True, **more):
    goals = {"registry": 1.0}
    if nginx_goal:
        goals["nginx"] = nginx_goal
    return Row(f"{name} c={conns}", "read", ["get", "--accept", ACCEPT, "--conns", conns,
                                             *more.pop("args", [])], paths=paths, goals=goals,
               candidates=("berth", "registry", "nginx") if nginx else ("berth", "registry"),
               **more)


def push(name, style, size, conns, count=0, **more):
    args = ["push", "--repo", "bench/push", "--style", style, "--size", size, "--conns", conns]
    unit = "pushes/s"
    if count:
        args += ["--count", count]
        unit = "MB/s"
    return Row(f"{name} c={conns}", "write", args, unit=unit, seconds=not count, **more)


def manifest_put(conns):
    return Row(f"manifest PUT by tag c={conns}", "write",
               ["manifest", "--repo", "bench/push", "--type", seed.MANIFEST, "--tag", "t-",
                "--tags", 50, "--conns", conns], unit="puts/s")


def all_rows(quick):
    big = seed.BIG_BYTES
    rows = [get("manifest GET by tag", "tag", c, 0.5) for c in (1, 16, 64)]
    rows += [get("manifest GET by digest", "digest", c, 0.5) for c in (1, 16, 64)]
    rows.append(get("manifest GET, open loop 400/s", "tag", 64, nginx=True, unit="p99 ms",
                    lower=True, args=["--rate", 400]))
    rows += [get("manifest HEAD by tag", "tag", c, 0.5, args=["--head"]) for c in (1, 64)]
    rows += [get("blob HEAD", "blob", c, args=["--head"]) for c in (1, 64)]
    rows += [get("blob GET 4 KB", "blob", c) for c in (1, 64)]
    rows += [get("blob GET 200 MB", "big", c, 0.9, unit="MB/s") for c in (1, 4)]
    rows += [
        get("tags list, all 10,000", "tags", 1, nginx=False, args=["--follow"]),
        get("tags list, page of 100", "tags-page", 1, nginx=False,
            note="docker-registry 2.8 ignores n: it sends all"),
        get("catalog, all 1,000", "catalog", 1, nginx=False, args=["--follow"]),
        get("catalog, page of 100", "catalog-page", 1, nginx=False),
    ]
    rows += [
        push("blob push 200 MB PATCH+PUT", "patch", big, 1, 1 if quick else 2),
        push("blob push 200 MB POST+PUT", "put", big, 1, 1 if quick else 2),
        push("blob push 40 MB PATCH+PUT", "patch", big // 5, 5, 5 if quick else 10,
             note="what one docker push does: five layers at a time"),
        push("blob push 4 KB POST+PUT", "put", 4096, 1),
        push("blob push 4 KB POST+PUT", "put", 4096, 16),
        push("blob push 4 KB PATCH+PUT", "patch", 4096, 16),
        manifest_put(1), manifest_put(16),
    ]
    return rows


@dataclass
class Sample:
    """One run of the load generator against one server."""

    value: float   # in the row's unit
    cpu_us: float  # of the server, per operation
    cpu_s: float   # the same in all
    foreign: float
    raw: dict


def take(row, server, load, paths, seconds):
    args = [row.args[0], "--target", server.target, *row.args[1:]]
    if row.paths:
        args += ["--paths", paths[row.paths]]
    if row.args[0] == "manifest":
        args += ["--template", paths["template"]]
    if row.args[0] == "push":
        args += ["--digests", server.directory / "pushed"]
    if seconds:
        args += ["--seconds", seconds]
    foreign = Foreign()
    cpu = server.cpu_seconds()
    raw = load.run(*args)
    cpu = server.cpu_seconds() - cpu
    share = foreign.share(cpu + raw["client_cpu_s"])
    if row.args[0] == "push" and not row.seconds:
        server.drop_cache()
    if raw["errors"] or not raw["ops"]:
        raise RuntimeError(f"{server.name}: {row.name}: {raw['errors']} errors: {raw['error']}")
    value = raw["ops_per_s"]
    if row.lower:
        value = raw["p99_us"] / 1e3
    elif row.unit == "MB/s":
        value = raw["in_mb_s"] + raw["out_mb_s"]
    return Sample(value, cpu * 1e6 / raw["ops"], cpu, share, raw)


class Result:
    """All rounds of one row."""

    def __init__(self, row):
        self.row = row
        self.rounds = []  # dicts: probe, samples by candidate
        self.discarded = 0
        self.failure = ""

    def of(self, name, what):
        return [what(r["samples"][name]) for r in self.rounds]

    def median(self, name):
        return statistics.median(self.of(name, lambda s: s.value))

    def cpu(self, name):
        """Microseconds per operation over all rounds: one clock tick is too coarse for one."""
        ops = sum(self.of(name, lambda s: s.raw["ops"]))
        return sum(self.of(name, lambda s: s.cpu_s)) * 1e6 / ops

    def ratios(self, peer):
        """How many times better berth is, per round."""
        ratios = [r["samples"]["berth"].value / r["samples"][peer].value for r in self.rounds]
        return [1 / v for v in ratios] if self.row.lower else ratios

    def cpu_ratio(self, peer):
        """berth's CPU per operation over the peer's: below 1 is better."""
        return self.cpu("berth") / max(self.cpu(peer), 1e-9)

    def missed(self):
        """What is behind its goal, in words."""
        if self.failure:
            return [self.failure]
        out = []
        for peer, least in self.row.goals.items():
            if peer not in self.row.candidates or "berth" not in self.row.candidates:
                continue
            ratio = statistics.median(self.ratios(peer))
            if ratio < least:
                out.append(f"{self.row.name}: {ratio:.2f} of {peer}, goal {least:.2f}")
            if peer == "registry" and self.cpu_ratio(peer) >= 1:
                out.append(f"{self.row.name}: {self.cpu_ratio(peer):.2f} of registry's CPU per "
                           "operation, goal below 1")
        return out

    def json(self):
        return {
            "name": self.row.name, "unit": self.row.unit, "goals": self.row.goals,
            "note": self.row.note, "failure": self.failure, "discarded": self.discarded,
            "median": {c: self.median(c) for c in self.row.candidates} if self.rounds else {},
            "ratio": {c: {"median": statistics.median(self.ratios(c)),
                          "min": min(self.ratios(c)), "max": max(self.ratios(c)),
                          "cpu": self.cpu_ratio(c)}
                      for c in self.row.candidates[1:]
                      if self.rounds and self.row.candidates[0] == "berth"},
            "rounds": [{"probe": r["probe"],
                        **{c: {"value": s.value, "cpu_us": s.cpu_us, "foreign": s.foreign,
                               **s.raw} for c, s in r["samples"].items()}} for r in self.rounds]}


def undisturbed(rounds):
    usual = statistics.median(r["probe"] for r in rounds)
    return [r for r in rounds if abs(r["probe"] / usual - 1) <= PROBE_LIMIT
            and max(s.foreign for s in r["samples"].values()) <= FOREIGN_LIMIT]


def quiet(rounds, least):
    """The rounds that count. All of them when fewer than `least` would be left: see rule 3."""
    kept = undisturbed(rounds)
    return kept if len(kept) >= least else rounds


def measure(row, servers, load, paths, rounds, seconds, patience):
    """One row: a warm-up of each server, then the rounds, and further ones for those that others
    disturbed: two, or as many again while there is patience."""
    result = Result(row)
    seconds = seconds if row.seconds else 0
    try:
        for name in row.candidates:
            take(row, servers[name], load, paths, 0.15 if row.seconds else 0)
        taken = []
        while len(taken) < rounds or (len(undisturbed(taken)) < rounds and len(taken) <
                                      (2 * rounds if patience.left > 0 else rounds + 2)):
            patience.wait()
            extra = len(taken) >= rounds
            begun = time.monotonic()
            turn = len(taken) % len(row.candidates)
            order = row.candidates[turn:] + row.candidates[:turn]
            probe = load.probe()
            taken.append({"probe": probe, "samples": {
                name: take(row, servers[name], load, paths, seconds) for name in order}})
            patience.left -= extra * (time.monotonic() - begun)
        result.rounds = quiet(taken, (rounds + 1) // 2)
        result.discarded = len(taken) - len(result.rounds)
    except (RuntimeError, OSError) as e:
        result.failure = f"{row.name}: {e}"
    return result


def verify(row, servers, load):
    """Reads back what was pushed last and hashes it."""
    if row.args[0] != "push":
        return
    for name in row.candidates:
        server = servers[name]
        pushed = (server.directory / "pushed").read_text(encoding="ascii").splitlines()[-20:]
        check = server.directory / "check"
        check.write_text("\n".join(pushed) + "\n", encoding="ascii")
        raw = load.run("get", "--target", server.target, "--paths", check, "--verify", "--count",
                       len(pushed))
        if raw["errors"]:
            raise RuntimeError(f"{name}: reading back a push: {raw['error']}")
