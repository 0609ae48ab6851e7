# SPDX-License-Identifier: Apache-2.0
"""HTTP over raw sockets: the table of rawcases.py row by row, every byte at every kind of position,
deliveries in all pieces, pipelining, and ranges against a model."""

import hashlib
import itertools
import random

import pytest
from rawcases import CASES, CHUNKED, ORDINARY, POISON, PROBE, SILENT, put, req
from rawhttp import Client, exchange

SEED = 20240917  # of everything that is generated here: each run asks the same


def test_the_table_is_a_table():
    assert len(CASES) >= 320
    names = [c.name for c in CASES]
    assert len(set(names)) == len(names)


def sent(case):
    tail = b"" if case.eof else case.poison if case.close else PROBE
    data = case.data + tail
    if not case.pieces:
        return data
    return [data[i:i + case.pieces] for i in range(0, len(data), case.pieces)]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_case(berth, case):
    heads = (0,) if case.data.startswith(b"HEAD ") else ()
    answer = exchange(berth.host, berth.port, sent(case), eof=case.eof, heads=heads)
    got = answer.statuses
    assert answer.rest == b"", f"half an answer: {answer.rest[:200]!r}"
    assert answer.closed, f"not closed after {got}"
    assert (got[0] if got else SILENT) in case.want, (got, [r.body[:300] for r in answer.responses])
    if case.code:
        assert answer.responses[0].code() == case.code, answer.responses[0].body[:300]
    if case.detail:
        assert case.detail in answer.responses[0].body
    if case.close:
        assert len(got) <= 1, f"what followed was taken for a request: {got}"
        if got and case.announced and not case.eof:
            assert answer.responses[0].get("connection") == "close"
    else:
        assert got[1:] == [200], f"what followed was not served: {got}"
        assert answer.responses[1].body == b"{}"
        assert answer.responses[0].get("connection") != "close"


# ---- Every byte ----------------------------------------------------------------------------------

ALNUM = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
TOKEN = ALNUM | frozenset(b"!#$%&'*+-.^_`|~")
TARGET = frozenset(range(0x21, 0x7f)) - frozenset(b"#")
VALUE = frozenset(range(0x20, 0x7f)) | frozenset(range(0x80, 0x100)) | frozenset(b"\t")
NAME = ALNUM | frozenset(b"-._~")
DIGITS = frozenset(b"0123456789")
BLANK = frozenset(b" \t")
TEMPLATE = b"GET /v2/?q HTTP/1.1\r\nHost: abc\r\nX-Yz: abc\r\nContent-Length: 00\r\n\r\n"


def at(text, offset=0):
    return TEMPLATE.index(text) + offset


# position: (the bytes that are served, the statuses that they may get)
BYTES = {
    "before-method": (None, frozenset(), {200}),
    "method-first": (0, TOKEN, {200, 405, 501}),
    "method-last": (2, TOKEN, {200, 405, 501}),
    "first-space": (3, frozenset(b" "), {200}),
    "path-first": (4, frozenset(b"/"), {200}),
    "path": (5, TARGET, {200, 400, 404}),
    "path-slash": (7, TARGET, {200, 400, 404}),
    "query": (9, TARGET, {200}),
    "second-space": (10, frozenset(b" "), {200}),
    "version-letter": (11, frozenset(b"H"), {200}),
    "version-slash": (15, frozenset(b"/"), {200}),
    "version-dot": (17, frozenset(b"."), {200}),
    "line-cr": (19, frozenset(b"\r"), {200}),
    "line-lf": (20, frozenset(b"\n"), {200}),
    "host-name-last": (at(b"Host", 3), frozenset(b"tT"), {200}),
    "host-colon": (at(b"Host", 4), frozenset(b":"), {200}),
    "host-space": (at(b"Host", 5), NAME | BLANK, {200}),
    "host-middle": (at(b"abc", 1), NAME, {200}),
    "host-cr": (at(b"abc\r", 3), frozenset(b"\r"), {200}),
    "host-lf": (at(b"abc\r", 4), frozenset(b"\n"), {200}),
    "name-first": (at(b"X-Yz"), TOKEN, {200}),
    "name": (at(b"X-Yz", 2), TOKEN | frozenset(b":"), {200}),
    "colon": (at(b"X-Yz", 4), frozenset(b":"), {200}),
    "after-colon": (at(b"X-Yz", 5), VALUE, {200}),
    "value-middle": (at(b"X-Yz", 7), VALUE, {200}),
    "value-last": (at(b"X-Yz", 8), VALUE, {200}),
    "length-first": (at(b"Content-Length", 16), frozenset(b"0") | BLANK, {200}),
    "length-last": (at(b"Content-Length", 17), frozenset(b"0") | BLANK, {200}),
    "end-first-cr": (len(TEMPLATE) - 4, frozenset(b"\r"), {200}),
    "end-first-lf": (len(TEMPLATE) - 3, frozenset(b"\n"), {200}),
    "end-cr": (len(TEMPLATE) - 2, frozenset(b"\r"), {200}),
    "end-lf": (len(TEMPLATE) - 1, frozenset(b"\n"), {200}),
}


@pytest.mark.parametrize("where", BYTES)
def test_every_byte(berth, where):
    position, good, statuses = BYTES[where]
    wrong = []
    for b in range(256):
        if position is None:
            data = bytes([b]) + TEMPLATE
            serves = b in TOKEN
            allowed = {405, 501}
        else:
            data = TEMPLATE[:position] + bytes([b]) + TEMPLATE[position + 1:]
            serves = b in good
            allowed = statuses
        if position in (at(b"Content-Length", 16), at(b"Content-Length",
                                                      17)) and b in DIGITS - {0x30}:
            continue  # another length: the probe would be its body
        answer = exchange(berth.host, berth.port, data + PROBE)
        got = answer.statuses
        if serves:
            ok = len(got) == 2 and got[0] in allowed and got[1] == 200
        else:
            ok = len(got) == 1 and got[0] in (400, 501, 505)
        if not ok or not answer.closed or answer.rest:
            wrong.append((hex(b), got, answer.closed))
    assert not wrong, wrong


# position in "3;e=f\r\nabc\r\n0\r\nN: v\r\n\r\n": the bytes with which it is still a whole body
CHUNK_TEMPLATE = b"3;e=f\r\nabc\r\n0\r\nN: v\r\n\r\n"
CHUNK_BYTES = {0: b"3", 1: b";", 2: TOKEN, 3: TOKEN | frozenset(b"=;"), 4: TOKEN, 5: b"\r",
               6: b"\n",
               8: range(256), 10: b"\r", 11: b"\n", 12: b"0", 13: b"\r", 14: b"\n", 15: TOKEN,
               16: b":",
               17: VALUE, 18: VALUE, 19: b"\r", 20: b"\n", 21: b"\r", 22: b"\n"}


@pytest.mark.parametrize("position", CHUNK_BYTES)
def test_every_byte_of_a_chunked_body(berth, position):
    good = frozenset(CHUNK_BYTES[position])
    wrong = []
    for b in range(256):
        body = CHUNK_TEMPLATE[:position] + bytes([b]) + CHUNK_TEMPLATE[position + 1:]
        answer = exchange(berth.host, berth.port, put(CHUNKED, body) + PROBE)
        got = [(r.status, r.code()) for r in answer.responses]
        if b in good:
            ok = got == [(400, "MANIFEST_INVALID"), (200, None)]
        else:
            ok = len(got) <= 1 and (not got or got[0] == (400, "BAD_REQUEST"))
        if not ok or not answer.closed:
            wrong.append((hex(b), got))
    assert not wrong, wrong


# ---- Delivery and pipelining ---------------------------------------------------------------------


def test_every_split_of_two_requests(berth):
    """Two requests, the first with a body, cut in two at each byte."""
    data = put(CHUNKED, b"5\r\nhello\r\n0\r\nX: y\r\n\r\n") + PROBE
    for cut in range(1, len(data)):
        answer = exchange(berth.host, berth.port, [data[:cut], data[cut:]])
        assert answer.statuses == [400, 200], (cut, answer.statuses)
        assert answer.responses[0].code() == "MANIFEST_INVALID"


def test_pipeline_of_twenty(berth):
    """Answered in order, each once; GET, HEAD, 404, 405 and bodies mixed."""
    kinds = [(ORDINARY, 200), (req(b"HEAD /v2/ HTTP/1.1"), 200),
             (req(b"GET /nothing HTTP/1.1"), 404),
             (req(b"DELETE /v2/ HTTP/1.1"), 405), (put(b"Content-Length: 5\r\n", b"hello"), 400)]
    chosen = list(itertools.islice(itertools.cycle(kinds), 20))
    heads = [i for i, (data, _) in enumerate(chosen) if data.startswith(b"HEAD")]
    data = b"".join(d for d, _ in chosen)
    for pieces in (data + PROBE, [data[i:i + 97] for i in range(0, len(data), 97)] + [PROBE]):
        answer = exchange(berth.host, berth.port, pieces, heads=heads)
        assert answer.statuses == [s for _, s in chosen] + [200]
        assert answer.closed and not answer.rest


def test_pipeline_stops_at_what_is_malformed(berth):
    answer = exchange(berth.host, berth.port, ORDINARY * 5 + req(fields=b"X : y\r\n") + POISON * 5)
    assert answer.statuses == [200] * 5 + [400]
    assert answer.closed


def test_pipeline_stops_at_close(berth):
    answer = exchange(berth.host, berth.port, ORDINARY * 3 + PROBE + POISON * 3)
    assert answer.statuses == [200] * 4
    assert answer.closed


def test_large_pipeline(berth):
    """More than any buffer holds, written without reading: nothing is lost or answered twice."""
    answer = exchange(berth.host, berth.port, ORDINARY * 2000 + PROBE)
    assert answer.statuses == [200] * 2001


def test_random_mutations(berth):
    """Mutated requests: whatever the answer, it is HTTP, no 5xx but 501 and 505, and the server
    goes on. The answers parse strictly, so a reflected CR or LF would show."""
    rnd = random.Random(SEED)
    seeds = [c.data for c in CASES if len(c.data) < 400 and not c.data.startswith(b"HEAD ")]
    for _ in range(1500):
        data = bytearray(rnd.choice(seeds))
        for _ in range(rnd.randint(1, 4)):
            i = rnd.randrange(len(data) + 1)
            kind = rnd.randrange(4)
            if kind == 0 and i < len(data):
                data[i] = rnd.randrange(256)
            elif kind == 1:
                data[i:i] = rnd.choice([b"\r\n", b"\n", b"\0", b" ", b"Host: h\r\n", CHUNKED,
                                        b"0\r\n\r\n", b"%00"])
            elif kind == 2:
                del data[i:i + rnd.randint(1, 8)]
            else:
                other = rnd.choice(seeds)
                cut = rnd.randrange(len(other) + 1)
                data[i:] = other[cut:]
        answer = exchange(berth.host, berth.port, bytes(data), eof=True)
        assert answer.closed, bytes(data)
        for r in answer.responses:
            assert r.status < 500 or r.status in (501, 505), (bytes(data), r.status, r.body[:300])


def test_nothing_is_reflected(berth):
    """Values with controls in escaped form never come out as field lines."""
    for target in (b"/v2/a%0d%0aSet-Cookie:%20x=y/tags/list", b"/v2/a/manifests/%0d%0a%0d%0ax",
                   b"/v2/a/blobs/uploads/?from=%0d%0aX:y&mount=z"):
        for method in (b"GET", b"POST", b"PUT"):
            answer = exchange(berth.host, berth.port, req(method + b" " + target + b" HTTP/1.1",
                                                          b"Content-Length: 0\r\n") + PROBE)
            assert answer.statuses[-1] == 200
            assert not answer.responses[0].all("set-cookie") and not answer.responses[0].all("x")


# ---- Ranges --------------------------------------------------------------------------------------

SIZE = 2048


@pytest.fixture(scope="module")
def blob(shared_berth):
    """2048 bytes, pushed with one POST over a raw socket."""
    body = random.Random(SEED).randbytes(SIZE)
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    with Client(shared_berth.host, shared_berth.port) as c:
        r = c.ask(req(f"POST /v2/raw/ranges/blobs/uploads/?digest={digest} HTTP/1.1".encode(),
                      b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n" % SIZE,
                      body=body))
    assert r.status == 201, r.body
    return f"/v2/raw/ranges/blobs/{digest}".encode(), body


def model(spec, size):
    """(status, first, last) for what follows "bytes=", by RFC 9110 14.1.2 and 14.2: several ranges
    and bad syntax are ignored, last before first is unsatisfiable, as the OCI suite prefers."""
    a, dash, b = spec.partition("-")
    if not dash or not all(x == "" or (x.isascii() and x.isdigit()) for x in (a, b)) or a + b == "":
        return 200, 0, size - 1
    if a == "":
        return (206, max(size - int(b), 0), size - 1) if int(b) > 0 else (416, 0, 0)
    first, last = int(a), int(b) if b else size - 1
    if first >= size or (b and last < first):
        return 416, 0, 0
    return 206, first, min(last, size - 1)


def specs():
    rnd = random.Random(SEED)
    edges = [0, 1, 2, 499, 500, 1499, 2046, 2047, 2048, 2049, 5000, 2**31 - 1, 2**31, 2**31 + 1,
             2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**39]
    yield from (f"{a}-{b}" for a in edges for b in edges)
    yield from (f"{a}-" for a in edges)
    yield from (f"-{b}" for b in edges)
    yield from (f"{rnd.randrange(3000)}-{rnd.randrange(3000)}" for _ in range(150))
    yield from ("", "-", "--", "--1", "1--2", "a-b", "0-1,3-4", "0-1,", ",0-1", "0-0,-1", "0x0-1",
                "+0-1", "0-+1", "0 -1", "0- 1", "0-1-2", "00-01", "1e1-2e1", "0-1;x", "*", "0",
                "0.0-1", "\xb2-\xb3", "0-1 2-3")


@pytest.mark.parametrize("batch", range(8))
def test_ranges_against_the_model(berth, blob, batch):
    path, body = blob
    some = list(specs())[batch::8]
    assert len(some) >= 64
    with Client(berth.host, berth.port) as c:
        for spec in some:
            r = c.ask(req(b"GET " + path + b" HTTP/1.1", b"Range: bytes=" + spec.encode("latin-1") +
                          b"\r\n"))
            status, first, last = model(spec, SIZE)
            assert r.status == status, (spec, r.status)
            if status == 416:
                assert r.get("content-range") == f"bytes */{SIZE}", spec
                assert body[:8] not in r.body
                continue
            assert r.body == body[first:last + 1], spec
            assert r.get("content-range") == (f"bytes {first}-{last}/{SIZE}"
                                              if status == 206 else None), spec


def test_ranges_that_do_not_apply(berth, blob):
    path, body = blob
    with Client(berth.host, berth.port) as c:
        for unit in (b"items=0-1", b"bytes 0-1", b"0-1", b"bytes", b"byte=0-1", b"octets=0-1"):
            r = c.ask(req(b"GET " + path + b" HTTP/1.1", b"Range: " + unit + b"\r\n"))
            assert (r.status, r.body) == (200, body), unit
        r = c.ask(req(b"HEAD " + path + b" HTTP/1.1", b"Range: bytes=0-1\r\n"), head=True)
        assert r.status == 200 and r.get("content-length") == str(SIZE)
        r = c.ask(req(b"GET " + path + b" HTTP/1.1", b'Range: bytes=0-1\r\nIf-Range: "other"\r\n'))
        assert (r.status, r.body) == (200, body)
