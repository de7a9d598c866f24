"""The bridge beside a plain pipe to the same program, and beside socat, which is what a naive bridge is."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support import tools
from tests.support.bridges import Bridge, Connection, bridge, until
from tests.support.locks import free_port

ROUNDS = 7
SECONDS = 0.5
SIZES = {"1 KiB": 1 << 10, "1 MiB": 1 << 20}
PROGRAM = [sys.executable, "-S", str(Path(__file__).with_name("messages.py"))]
PIPE = "plain pipe"
SESSIONS = 200


def measure() -> dict[str, list[dict[str, Any]]]:
    """Latency, throughput, CPU, start, death and size."""
    tools.debian_packages(tools.COMPILERS)
    with tempfile.TemporaryDirectory() as name, bridge(tools.bridge(), Path(name), *PROGRAM, "serve") as running:
        return {
            "one line there and one back, one at a time": _messages(running),
            "a new connection for each call": _calls(Path(name)),
            "a process dies: until its caller knows": _deaths(Path(name)),
            "size": _size(Path(name)),
        }


def _messages(running: Bridge) -> list[dict[str, Any]]:
    samples: dict[tuple[str, str], list[dict[str, float]]] = {}
    with _socat(*PROGRAM, "serve") as naive:
        ways = {
            PIPE: ("pipe", [*PROGRAM, "serve"]),
            "bridge, raw": ("raw", [f"127.0.0.1:{running.port}"]),
            "bridge, direct": ("direct", [f"127.0.0.1:{running.port}"]),
            "bridge, attach": ("attach", [f"127.0.0.1:{running.port}"]),
            "socat": ("raw", [f"127.0.0.1:{naive}"]),
        }
        for _ in range(ROUNDS):
            for title, size in SIZES.items():
                for way, (mode, target) in ways.items():
                    samples.setdefault((title, way), []).append(_run(running, mode, size, target))
    rows = []
    for (title, way), measured in samples.items():
        median = {key: statistics.median(sample[key] for sample in measured) for key in measured[0]}
        plain = {key: statistics.median(sample[key] for sample in samples[title, PIPE]) for key in measured[0]}
        rows.append(
            {
                "size": title,
                "way": way,
                "p50 µs": median["p50"],
                "added µs": median["p50"] - plain["p50"],
                "MB/s": median["MB/s"],
                "% of pipe": 100 * median["MB/s"] / plain["MB/s"],
                "bridge CPU µs": median["cpu"] if way.startswith("bridge") else 0.0,
            }
        )
    return rows


def _run(running: Bridge, mode: str, size: int, target: list[str]) -> dict[str, float]:
    before = _cpu(running.process.pid)
    command = [*PROGRAM, mode, str(size), str(SECONDS), *target]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    count = measured["MB/s"] * 1e6 * SECONDS / size
    return {**measured, "cpu": (_cpu(running.process.pid) - before) / count * 1e6}


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _socat(*command: str) -> Iterator[int]:
    port = free_port()
    listen = f"TCP-LISTEN:{port},fork,reuseaddr,nodelay,bind=127.0.0.1"
    with subprocess.Popen(["socat", listen, f"EXEC:{' '.join(command)}"], stderr=subprocess.DEVNULL) as process:
        until("socat to listen", lambda: _listens(port))
        yield port
        process.terminate()


def _listens(port: int) -> bool:
    try:
        Connection(port).close()
    except OSError:
        return False
    return True


def _calls(folder: Path) -> list[dict[str, Any]]:
    """`socat STDIO TCP:…` again for every call, as the original's gateway does; the server starts at once."""
    request = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    with bridge(tools.bridge(), folder, "cat", flags=("--max-start-rate=10000",)) as ours, _socat("cat") as naive:
        targets = {"bridge": ours.port, "socat": naive}
        times: dict[str, list[float]] = {way: [] for way in targets}
        for _ in range(40):
            for way, port in targets.items():
                began = time.perf_counter()
                done = subprocess.run(["socat", "STDIO", f"TCP:127.0.0.1:{port}"], input=request, capture_output=True, check=True)
                times[way].append(time.perf_counter() - began)
                if done.stdout != request:
                    raise AssertionError(f"a wrong answer: {done.stdout!r}")
    return [
        {"way": way, "ms a call": statistics.median(measured) * 1e3, "max ms": max(measured) * 1e3}
        for way, measured in times.items()
    ]


def _deaths(folder: Path) -> list[dict[str, Any]]:
    rows = []
    command = ("sh", "-c", "echo {}; read x; echo why >&2; kill -9 $$$$")
    with bridge(tools.bridge(), folder, *command, flags=("--max-start-rate=10000",)) as running:
        for mode in ("direct", "attach"):
            times = []
            for number in range(40):
                with running.connect({"mode": mode, "session": f"{number}"}) as client:
                    client.control()
                    client.line()
                    began = time.perf_counter()
                    client.send(b"{}")
                    report = client.control()["exit"]
                    times.append(time.perf_counter() - began)
                    if (report["code"], report["stderr"]) != (137, ["why"]):
                        raise AssertionError(report)
            rows.append({"mode": mode, "p50 ms": statistics.median(times) * 1e3, "max ms": max(times) * 1e3})
    return rows


def _size(folder: Path) -> list[dict[str, Any]]:
    flags = ("--max-processes=1000", "--max-start-rate=10000")
    with bridge(tools.bridge(), folder, "cat", flags=flags) as running, ExitStack() as stack:
        idle, anonymous = _memory(running, "VmRSS"), _memory(running, "RssAnon")
        for number in range(SESSIONS):
            client = stack.enter_context(running.connect({"mode": "attach", "session": str(number)}))
            client.control()
            client.send(b"{" + b"x" * 1000)
            client.line()
            client.ack(1)
        return [
            {
                "binary MiB": tools.bridge().stat().st_size / (1 << 20),
                "idle RSS MiB": idle / 1024,
                "of it anonymous MiB": anonymous / 1024,
                "KiB a session": (_memory(running, "VmRSS") - idle) / SESSIONS,
            }
        ]


def _memory(running: Bridge, name: str) -> int:
    """A line of the process's status, in KiB."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1])
