# SPDX-License-Identifier: Apache-2.0
"""Raw-socket helpers: bytes out, responses in, nothing repaired on the way. What a server sends is
parsed as strictly as we want to be parsed."""

import json
import re
import socket
from dataclasses import dataclass

TIMEOUT = 20.0  # a sanitizer build on a loaded machine; a server that hangs is a failure anyway
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]*\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")


class Malformed(AssertionError):
    """The server's bytes are not HTTP."""


@dataclass
class Response:
    status: int
    fields: list
    body: bytes

    def all(self, name):
        return [v for k, v in self.fields if k == name.lower()]

    def get(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def code(self):
        """The code of the OCI error body, or None."""
        try:
            return json.loads(self.body)["errors"][0]["code"]
        except (ValueError, KeyError, IndexError, TypeError):
            return None


@dataclass
class Answer:
    """All that came on a connection."""
    responses: list  # without 1xx
    interim: list    # statuses of 1xx
    closed: bool     # the server closed (or reset) before the time was up
    rest: bytes      # what is not a whole response

    @property
    def statuses(self):
        return [r.status for r in self.responses]


def connect(host, port, timeout=TIMEOUT):
    sock = socket.create_connection((host, port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def parse_response(data, head=False):
    """(Response, rest), or (None, data) when it is not complete yet. `head`: it answers a HEAD."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if b"\n" in data.replace(b"\r\n", b""):
            raise Malformed(f"a bare LF in {data[:200]!r}")
        return None, data
    lines = data[:end].split(b"\r\n")
    m = STATUS_LINE.match(lines[0])
    if not m:
        raise Malformed(f"not a status line: {lines[0]!r}")
    status = int(m.group(1))
    fields = []
    for line in lines[1:]:
        f = FIELD_LINE.match(line)
        if not f:
            raise Malformed(f"not a field line: {line!r}")
        fields.append((f.group(1).decode().lower(), f.group(2).decode("latin-1")))
    r = Response(status, fields, b"")
    rest = data[end + 4:]
    if r.all("transfer-encoding"):
        raise Malformed("a chunked answer: the registry always knows its lengths")
    length = r.get("content-length")
    if status < 200 or status in (204, 304):
        return r, rest
    if length is None or not length.isdigit():
        raise Malformed(f"status {status} with Content-Length {length!r}")
    if head:
        return r, rest
    if len(rest) < int(length):
        return None, data
    r.body = rest[:int(length)]
    return r, rest[int(length):]


def read_to_end(sock):
    """(bytes, closed): all until the server closes, or the socket's time is up."""
    data = bytearray()
    while True:
        try:
            piece = sock.recv(65536)
        except TimeoutError:
            return bytes(data), False
        except (ConnectionResetError, BrokenPipeError):
            return bytes(data), True
        if not piece:
            return bytes(data), True
        data += piece


def parse_all(data, closed, heads=()):
    """`heads`: the indices of the responses that answer a HEAD."""
    answer = Answer([], [], closed, b"")
    while data:
        r, data = parse_response(data, len(answer.responses) in heads)
        if r is None:
            answer.rest = data
            break
        if r.status < 200:
            answer.interim.append(r.status)
        else:
            answer.responses.append(r)
    return answer


def exchange(host, port, pieces, eof=False, heads=(), timeout=TIMEOUT):
    """Sends the pieces, each in a segment of its own, and reads until the server closes. With
    `eof` the sending side is shut down behind them."""
    with connect(host, port, timeout) as sock:
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                sock.sendall(piece)
            if eof:
                sock.shutdown(socket.SHUT_WR)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it has answered early and closed; what it said can still be read
        except OSError as e:
            if e.errno != 107:  # ENOTCONN: the shutdown came after a reset
                raise
        data, closed = read_to_end(sock)
    return parse_all(data, closed, heads)


class Client:
    """A kept connection on which one request after the other is asked, for the cases that need
    what they sent before."""

    def __init__(self, host, port):
        self.sock = connect(host, port)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def read(self, head=False):
        while True:
            r, self.data = parse_response(self.data, head)
            if r is not None and r.status >= 200:
                return r
            if r is not None:
                continue
            piece = self.sock.recv(65536)
            assert piece, f"closed in the middle of an answer: {self.data[:200]!r}"
            self.data += piece

    def ask(self, request, head=False):
        self.sock.sendall(request)
        return self.read(head)
