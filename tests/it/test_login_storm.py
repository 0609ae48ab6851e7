# SPDX-License-Identifier: Apache-2.0
"""1,000 bad logins a second leave pulls below twice their usual p99. Measured on the optimised
build, beside a run of the same without the storm."""

import ast
import base64
import subprocess
import sys
import textwrap
import time

from harness import binary
from registry_client import Raw, Registry

RATE, SECONDS = 1000, 8

STORM = textwrap.dedent("""\
    import asyncio, base64, sys, time
    host, port, rate, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    bad = sys.argv[5] == "bad"
    counts = {}
    async def worker(n, each):
        reader, writer = await asyncio.open_connection(host, port)
        end = time.monotonic() + seconds
        k, due = 0, time.monotonic()
        while time.monotonic() < end:
            # Every try is another password, and every tenth another user.
            who = base64.b64encode(f"user{n if k % 10 else k}:wrong-{n}-{k}".encode()).decode()
            login = f"Authorization: Basic {who}\\r\\n" if bad else ""
            writer.write(f"GET /v2/ HTTP/1.1\\r\\nHost: x\\r\\n{login}\\r\\n".encode())
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = 0
            for line in head.decode().split("\\r\\n"):
                if line.lower().startswith("content-length:"):
                    length = int(line.split(":")[1])
            await reader.readexactly(length)
            status = head.split()[1].decode()
            counts[status] = counts.get(status, 0) + 1
            k += 1
            due += each
            await asyncio.sleep(max(0, due - time.monotonic()))
    async def main():
        workers = 50
        await asyncio.gather(*(worker(i, workers / rate) for i in range(workers)))
        print(counts)
    asyncio.run(main())
""")


def p99(server, header, seconds):
    times = []
    with Raw(server.url) as c:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            c.request("GET", "/v2/a/b/manifests/t", {"Authorization": header})
            answer = c.response()
            times.append(time.perf_counter() - start)
            assert answer is not None and answer[0] == 200, answer
            time.sleep(0.002)
    times.sort()
    return times[int(len(times) * 0.99)]


def test_a_storm_of_bad_logins(fresh_berth, tmp_path, record_property):
    users = tmp_path / "users"
    users.touch()
    subprocess.run([binary("release"), "htpasswd", "-i", users, "ann"], input=b"right",
                   check=True, capture_output=True, timeout=60)
    server = fresh_berth(kind="release", options={
        "auth.htpasswd.realm": "r", "auth.htpasswd.path": str(users),
        "log.accesslog.disabled": "true"})
    header = "Basic " + base64.b64encode(b"ann:right").decode()
    registry = Registry(server.url)
    registry.session.headers["Authorization"] = header
    registry.push_image("a/b", tag="t")
    script = tmp_path / "storm.py"
    script.write_text(STORM)

    def beside(kind):
        """(p99 of a pull, answers by status) beside RATE requests a second."""
        process = subprocess.Popen([sys.executable, script, server.host, str(server.port),
                                    str(RATE), str(SECONDS), kind],
                                   stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        worst = p99(server, header, SECONDS - 2)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return worst, ast.literal_eval(out)

    # The client of the storm costs this machine more than the answers do: what is usual is measured
    # beside as many requests without credentials, which are refused at once.
    ratios = []
    for _ in range(3):
        usual, _ = beside("none")
        stormy, counts = beside("bad")
        done = sum(counts.values())
        assert set(counts) <= {"401", "429", "503"}, counts
        ratios.append(stormy / usual)
        print(f"\nbad logins: {done / SECONDS:.0f}/s ({counts}); manifest GET p99 {stormy * 1000:.2f} ms "
              f"beside them, {usual * 1000:.2f} ms beside as many without credentials, ratio {stormy / usual:.2f}")
        if ratios[-1] < 2 and done >= RATE * SECONDS * 0.8:
            break
    record_property("ratio", round(min(ratios), 2))
    assert min(ratios) < 2, ratios
