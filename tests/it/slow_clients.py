#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Thousands of slow connections from one process, driven by one epoll loop.

    slow_clients.py HOST PORT BLOB_PATH UPLOADS DOWNLOADS IDLE

Uploads announce 1 MiB, wait until they are asked for it, and send a byte every two seconds;
downloads read a KiB every two seconds through a small window; idle ones make one request and stay.
Prints `ready` once all are open, ends when standard input closes, and prints how many of each were
still open then."""

import os
import select
import socket
import sys
import time

DRIP_SECONDS = 2.0


class Slow:
    def __init__(self, kind, address, path, number):
        self.kind = kind
        self.sock = socket.socket()
        self.sock.setblocking(False)
        if kind == "download":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect_ex(address)
        if kind == "upload":
            self.hello = (f"POST /v2/slow/up{number % 50}/blobs/uploads/?digest=sha256:{'0' * 64} "
                          f"HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n"
                          f"Expect: 100-continue\r\n\r\n")
        elif kind == "download":
            self.hello = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
        else:
            self.hello = "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
        self.open = True
        self.started = False
        self.answered = False

    def fail(self):
        self.open = False
        self.sock.close()

    def step(self):
        """Sends or reads a little."""
        try:
            if self.kind == "upload":
                self.sock.send(b"x")
            elif self.kind == "download":
                if not self.sock.recv(1024):
                    self.fail()
        except BlockingIOError:
            pass
        except OSError:
            self.fail()


def open_all(kinds, address, path):
    """Connects in waves that fit a listen backlog."""
    clients = []
    epoll = select.epoll()
    pending = {}
    for number, kind in enumerate(kinds):
        client = Slow(kind, address, path, number)
        clients.append(client)
        pending[client.sock.fileno()] = client
        epoll.register(client.sock.fileno(), select.EPOLLOUT)
        while len(pending) >= 100 or (number == len(kinds) - 1 and pending):
            for fd, _ in epoll.poll(5):
                c = pending[fd]
                try:
                    if not c.started:
                        c.sock.send(c.hello.encode())
                        c.started = True
                        epoll.modify(fd, select.EPOLLIN)
                        continue
                    else:
                        data = c.sock.recv(512)
                        c.answered = data.startswith((b"HTTP/1.1 200", b"HTTP/1.1 100"))
                        if not c.answered:
                            c.fail()
                except OSError:
                    c.fail()
                epoll_drop(epoll, fd)
                del pending[fd]
    return clients


def epoll_drop(epoll, fd):
    try:
        epoll.unregister(fd)
    except OSError:
        return  # closed already


def main():
    host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    counts = dict(zip(("upload", "download", "idle"), map(int, sys.argv[4:7])))
    kinds = []
    for kind, n in counts.items():
        kinds += [kind] * n
    kinds.sort(key=lambda k: hash(k))
    clients = open_all(kinds, (host, port), path)
    print("ready", sum(c.open for c in clients), flush=True)
    os.set_blocking(0, False)
    slices = 40
    turn = 0
    while True:
        time.sleep(DRIP_SECONDS / slices)
        try:
            if os.read(0, 100) == b"":
                break
        except BlockingIOError:
            pass
        for c in clients[turn % slices::slices]:
            if c.open and c.kind != "idle":
                c.step()
        turn += 1
    for kind in counts:
        print(kind, sum(c.open for c in clients if c.kind == kind), flush=True)


if __name__ == "__main__":
    main()
