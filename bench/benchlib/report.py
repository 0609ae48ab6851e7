# SPDX-License-Identifier: Apache-2.0
"""The figures as text."""

import statistics

from .rows import FOREIGN_LIMIT

def number(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:,.1f}" if v >= 10 else f"{v:,.2f}"


def latency(us):
    return f"{us / 1e3:.2f}" if us < 1e5 else f"{us / 1e3:.0f}"


def ratio_text(result, peer):
    r = result.ratios(peer)
    return f"{statistics.median(r):.2f} ({min(r):.2f}-{max(r):.2f})"


HEAD = (f"{'workload':<32}{'unit':>9} {'server':<9}{'median':>10} {'p50 ms':>8}{'p99 ms':>8}"
        f"{'CPU us/op':>11}{'client':>8}  {'berth/it (min-max)':<22}{'CPU berth/it':>13}  goal")


def row_text(result):
    """Lines for one row, one per server."""
    row = result.row
    if result.failure:
        return f"{row.name:<32} FAILED: {result.failure}"
    lines = []
    for name in row.candidates:
        p50, p99, client = (statistics.median(result.of(name, lambda s, k=k: s.raw[k]))
                            for k in ("p50_us", "p99_us", "client_share"))
        line = (f"{row.name if name == row.candidates[0] else '':<32}"
                f"{row.unit if name == row.candidates[0] else '':>9} {name:<9}"
                f"{number(result.median(name)):>10} {latency(p50):>8}{latency(p99):>8}"
                f"{number(result.cpu(name)):>11}{client:>8.0%}")
        if name != "berth" and "berth" in row.candidates:
            goal = row.goals.get(name)
            ok = goal is None or statistics.median(result.ratios(name)) >= goal
            mark = "" if goal is None else f"{'ok' if ok else 'MISSED'} >= {goal:g}"
            line += f"  {ratio_text(result, name):<22}{result.cpu_ratio(name):>13.3f}  {mark}"
        lines.append(line)
    if result.discarded:
        lines.append(f"{'':<32}{result.discarded} disturbed rounds discarded")
    others = max(s.foreign for r in result.rounds for s in r["samples"].values())
    if others > FOREIGN_LIMIT:
        lines.append(f"{'':<32}disturbed: others used up to {others:.0%} of the machine")
    if row.note:
        lines.append(f"{'':<32}note: {row.note}")
    return "\n".join(lines)


def footprint_text(rows):
    """Rows: name, unit, {server: value}, compared. Smaller is better."""
    lines = [f"\n{'footprint':<40}{'unit':>6}" + "".join(f"{n:>12}" for n in
                                                          ("berth", "registry", "nginx"))
             + f"{'berth/registry':>18}"]
    for name, unit, values, compared in rows:
        cells = "".join(f"{number(values[n]) if n in values else '-':>12}"
                        for n in ("berth", "registry", "nginx"))
        both = "berth" in values and "registry" in values
        ratio = f"{values['berth'] / values['registry']:.2f}" if both else "-"
        mark = "" if not both or not compared else (
            "  ok < 1" if values["berth"] < values["registry"] else "  MISSED < 1")
        lines.append(f"{name:<40}{unit:>6}{cells}{ratio:>18}{mark}")
    return "\n".join(lines)


def footprint_missed(rows):
    return [f"{name}: {v['berth'] / v['registry']:.2f} of registry, goal below 1"
            for name, _unit, v, compared in rows
            if compared and "berth" in v and "registry" in v and v["berth"] >= v["registry"]]
