# SPDX-License-Identifier: Apache-2.0
"""What the figures were taken on, and who else was using it."""

import ctypes
import json
import os
import pathlib
import re
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
SERVER_CPU = 0
CLIENT_CPU = 1


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")


def first_match(pattern, text, default="?"):
    found = re.search(pattern, text, re.M)
    return found.group(1).strip() if found else default


def own_network():
    """Moves this process into a network namespace of its own, where TCP does not pace: with BBR, a
    default of some hosts, one loopback stream is held at about 1 GB/s and every server looks the
    same. The host's settings stay as they are. False without the right to do it."""
    clone_newnet = 0x40000000
    if ctypes.CDLL(None).unshare(clone_newnet) != 0:
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text("reno", encoding="ascii")
    return True


def machine_line(directory):
    """One line: CPU, cores, SHA extensions, memory, kernel, file system of the data."""
    info = read("/proc/cpuinfo")
    flags = first_match(r"^flags\s*:(.*)$", info, "").split()
    mount = subprocess.run(["findmnt", "-no", "FSTYPE,SOURCE", "-T", str(directory)],
                           capture_output=True, text=True, check=False).stdout.split()
    memory = int(first_match(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), "0")) // 1048576
    family, model = (first_match(rf"^{k}\s*:(.*)$", info) for k in ("cpu family", "model"))
    return (f"{first_match(r'^model name.*?:(.*)$', info)} (family {family} model {model}), "
            f"{os.cpu_count()} cores, "
            f"SHA-NI {'yes' if 'sha_ni' in flags else 'no'}, "
            f"AVX-512 {'yes' if 'avx512bw' in flags else 'no'}, {memory} GiB, "
            f"Linux {os.uname().release}, {' on '.join(mount) or 'unknown file system'}, "
            f"tcp {read('/proc/sys/net/ipv4/tcp_congestion_control').strip()}")


def busy_seconds():
    """CPU seconds that anything spent on this machine, stolen time included."""
    fields = [int(v) for v in read("/proc/stat").splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / TICK


class Foreign:
    """Share of the two measuring cores' time that neither server nor client used."""

    def __init__(self):
        self.begun = time.monotonic()
        self.busy = busy_seconds()

    def share(self, own):
        wall = max(time.monotonic() - self.begun, 1e-6)
        return max(0.0, (busy_seconds() - self.busy - own) / (wall * (os.cpu_count() or 1)))


class Patience:
    """Waits for others to leave the machine alone, for so many seconds in all."""

    CALM = 0.05
    LOOK = 0.25

    def __init__(self, seconds):
        self.left = seconds

    def wait(self):
        while self.left > 0:
            foreign = Foreign()
            time.sleep(self.LOOK)
            if foreign.share(0) <= self.CALM:
                return
            self.left -= self.LOOK


class Load:
    """Runs the load generator, pinned to the client's core."""

    def __init__(self, binary):
        self.binary = str(binary)

    def run(self, *args, cpu=CLIENT_CPU, timeout=180):
        done = subprocess.run(["taskset", "-c", str(cpu), self.binary, *map(str, args)],
                              capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"berth-load {args[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def probe(self, seconds=0.08):
        """MB/s of one SHA-256 stream on the server's core: tells a slow machine from a slow server."""
        return self.run("probe", "--seconds", seconds, cpu=SERVER_CPU)["sha256_mb_s"]
