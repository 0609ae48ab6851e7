# SPDX-License-Identifier: Apache-2.0
"""HTTP over a Unix socket, with the standard library."""

import http.client
import socket


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(path, target, headers=()):
    c = Connection(path)
    c.request("GET", target, headers=dict(headers))
    return c.getresponse()
