#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py SUMMARY.json MINIMUM: line coverage by directory from gcovr's JSON summary. The
directories that parse, store or decide have to reach the minimum in per cent: one line
`ok DIRECTORY` or `FAILED DIRECTORY` each."""

import json
import sys
from collections import defaultdict

# Directories, and the parts of src/http that parse.
HELD = ("src/oci", "src/meta", "src/store", "src/auth", "src/registry", "src/http parsers")
PARSERS = ("head", "head_scan", "chunked", "field", "route", "chars")


def group(path):
    parts = path.split("/")
    directory = "/".join(parts[:2])
    if directory == "src/http" and parts[-1].split(".")[0] in PARSERS:
        return "src/http parsers"
    return directory


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        summary = json.load(f)
    minimum = float(sys.argv[2])
    lines = defaultdict(lambda: [0, 0])
    for entry in summary["files"]:
        if entry["filename"].startswith("src/"):
            total = lines[group(entry["filename"])]
            total[0] += entry["line_covered"]
            total[1] += entry["line_total"]
    bad = 0
    for name in sorted(lines):
        covered, total = lines[name]
        percent = 100.0 * covered / total if total else 100.0
        if name in HELD:
            good = percent >= minimum
            bad += not good
            print(f"{'ok' if good else 'FAILED'} {name}: {percent:.1f} % of {total} lines")
        else:
            print(f"   {name}: {percent:.1f} % of {total} lines")
    for name in HELD:
        if name not in lines:
            bad += 1
            print(f"FAILED {name}: no lines at all")
    covered = sum(v[0] for v in lines.values())
    total = sum(v[1] for v in lines.values())
    print(f"   all: {100.0 * covered / max(total, 1):.1f} % of {total} lines")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
