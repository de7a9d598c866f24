"""The way of one line to a program and of its answer back, by plain blocking system calls: no event loop is measured with it.

    messages.py serve                                    the program: answers each line with one of the size that it asks for
    messages.py pipe   SIZE SECONDS PROGRAM ARGS…        over plain pipes
    messages.py raw    SIZE SECONDS HOST:PORT            over TCP, as it is
    messages.py direct SIZE SECONDS HOST:PORT            over TCP, greeted
    messages.py attach SIZE SECONDS HOST:PORT            over TCP, attached and acknowledged

Prints one line of JSON: latencies in µs, answers in MB/s. Every answer is checked.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

MAGIC = b"MCP-BRIDGE/1 "
CHUNK = 1 << 20
SMALL = 64 << 10


def write(fd: int, data: bytes) -> None:
    """All of it."""
    sent = os.write(fd, data)
    while sent < len(data):
        sent += os.write(fd, memoryview(data)[sent:])


def read_line(fd: int) -> bytes:
    """One line; there is never more than one in flight."""
    data = os.read(fd, CHUNK)
    if not data.endswith(b"\n"):
        parts = [data]
        while not parts[-1].endswith(b"\n"):
            parts.append(os.read(fd, CHUNK))
            if not parts[-1]:
                raise SystemExit("the connection ended")
        data = b"".join(parts)
    return data


def serve() -> None:
    """Answer until the end of the input."""
    size, text = 0, b""
    while line := os.read(0, CHUNK):
        while not line.endswith(b"\n"):
            line += os.read(0, CHUNK)
        _, number, wanted, _ = line.split(b" ", 3)
        if int(wanted) != size:
            size = int(wanted)
            text = b' "' + b"x" * size + b'"}\n'
        write(1, b'{"id": ' + number + text)


def connect(way: str, args: list[str]) -> tuple[int, int]:
    """Descriptors to read from and to write to."""
    if way == "pipe":
        process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert process.stdin is not None
        assert process.stdout is not None
        return os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
    host, _, port = args[0].rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = os.dup(connection.fileno())
    os.set_blocking(fd, True)
    if way != "raw":
        write(fd, MAGIC + json.dumps({"mode": way, "session": str(os.getpid())}).encode() + b"\n")
        if b'"instance"' not in read_line(fd):
            raise SystemExit("refused")
    return fd, fd


def measure(way: str, size: int, seconds: float, args: list[str]) -> dict[str, float]:
    """Latency and throughput of one line at a time."""
    source, target = connect(way, args)
    pad = b"p" * min(size, SMALL)
    latencies: list[float] = []
    began = acked = now = time.perf_counter()
    while now - began < seconds:
        number = len(latencies) + 1
        write(target, b'{"id": %d %d %s\n' % (number, size, pad))
        line = read_line(source)
        before, now = now, time.perf_counter()
        latencies.append(now - before)
        if not line.startswith(b'{"id": %d ' % number) or len(line) < size:
            raise SystemExit(f"a wrong answer: {line[:80]!r}")
        if way == "attach" and (number % 64 == 0 or size > SMALL or now - acked > 0.1):
            write(target, MAGIC + b'{"ack":%d}\n' % number)
            acked = now
    latencies.sort()
    count = len(latencies)
    return {
        "p50": latencies[count // 2] * 1e6,
        "p99": latencies[count * 99 // 100] * 1e6,
        "MB/s": count * size / (now - began) / 1e6,
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])))
