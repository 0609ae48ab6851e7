# SPDX-License-Identifier: Apache-2.0
"""A large pull over TLS beside nginx, in one run (bench/tls): nginx's throughput at least, with every
cipher. Measured on the optimised build."""

import subprocess
import sys

from clients import require
from harness import TOP, binary


def test_a_large_pull_is_as_fast_as_nginx():
    require("nginx", "curl", "taskset")
    for _ in range(3):  # whoever else uses the machine does not hit berth alone in each
        r = subprocess.run([sys.executable, TOP / "bench/tls", "--berth", binary("release"), "--megabytes",
                            "200", "--rounds", "4", "--least", "1.0"],
                           capture_output=True, text=True, timeout=300, check=False)
        print("\n" + r.stdout)
        if r.returncode == 0:
            break
    assert r.returncode == 0, r.stdout + r.stderr
