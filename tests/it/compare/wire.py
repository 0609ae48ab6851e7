# SPDX-License-Identifier: Apache-2.0
"""One request, one answer, nothing added and nothing hidden."""

import http.client
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

SECONDS = 60
SETTLE_SECONDS = 20


@dataclass
class Case:
    """What is sent. `path` may name variables that earlier cases saved from this server's answers:
    {name} is a path with its query."""
    id: str
    method: str
    path: str
    headers: tuple = ()
    body: bytes | None = None
    chunked: bool = False
    save: str | None = None  # the Location of the answer, under this name
    debug: bool = False      # to the debug listener
    settle: int = 0          # asked again until it has this status
    body_matters: bool = True


@dataclass
class Answer:
    status: int = 0
    headers: dict = field(default_factory=dict)  # lower-case name: list of values
    body: bytes = b""
    cut: bool = False  # it ended before its Content-Length

    def header(self, name):
        values = self.headers.get(name.lower())
        return ", ".join(values) if values is not None else None

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def errors(self):
        document = self.json()
        return document["errors"] if isinstance(document, dict) and "errors" in document else None

    def summary(self):
        """The status, and what kind of answer it is: `404 BLOB_UNKNOWN`, `404 text`, `200`."""
        errors = self.errors()
        kind = "text" if self.body and self.status >= 300 else ""
        if errors:
            kind = " ".join(dict.fromkeys(e.get("code", "?") for e in errors))
        return " ".join(x for x in (str(self.status), kind, "cut" if self.cut else "") if x)


class Server:
    """A base URL, and what this server's answers said."""

    def __init__(self, url, debug_url):
        self.url = url
        self.host = urlsplit(url).netloc
        self.debug_host = urlsplit(debug_url).netloc
        self.saved = {}

    def path(self, template):
        return re.sub(r"\{(\w+)\}", lambda m: self.saved.get(m.group(1), "/never-saved"), template)

    def send(self, case):
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            answer = self.send_once(case)
            if case.settle in (0, answer.status) or time.monotonic() > end:
                return answer
            time.sleep(0.05)

    def send_once(self, case):
        connection = http.client.HTTPConnection(self.debug_host if case.debug else self.host,
                                                timeout=SECONDS)
        try:
            connection.putrequest(case.method, self.path(case.path), skip_accept_encoding=True,
                                  skip_host=any(k.lower() == "host" for k, _ in case.headers))
            for name, value in case.headers:
                connection.putheader(name, value)
            if case.chunked:
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders()
                half = len(case.body) // 2
                for piece in (case.body[:half], case.body[half:]):
                    if piece:
                        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                connection.send(b"0\r\n\r\n")
            else:
                if case.body is not None:
                    connection.putheader("Content-Length", str(len(case.body)))
                connection.endheaders()
                if case.body:
                    try:
                        connection.send(case.body)
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # it has answered already
            response = connection.getresponse()
            answer = Answer(status=response.status)
            try:
                answer.body = response.read()
            except http.client.IncompleteRead as e:
                answer.body, answer.cut = e.partial, True
            for name, value in response.getheaders():
                answer.headers.setdefault(name.lower(), []).append(value)
        finally:
            connection.close()
        if case.save:
            location = answer.header("Location")
            if location:
                parts = urlsplit(location)
                self.saved[case.save] = parts.path + (f"?{parts.query}" if parts.query else "")
        return answer


def with_digest(variable, digest):
    """The path that closes a session: every server's Location has a query."""
    return "{" + variable + "}&digest=" + digest
