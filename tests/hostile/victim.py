"""Another caller, as a process of its own: calls an honest server all the time, asks for liveness, reports latencies.

    victim.py PORT INTERNAL TOOL

Each line on stdin ends a period; its answer is one line of JSON with the latencies of that period in seconds.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

INTERVAL = 0.01  # seconds between calls
LIVENESS = 0.1
PATIENCE = 60.0


class Period:
    """What was measured since the last report."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.liveness: list[float] = []
        self.failures: list[str] = []


def main(port: int, internal: int, tool: str) -> None:
    from tests.hostile.world import Client

    current = Period()

    def calls() -> None:
        client = Client(port, timeout=PATIENCE)
        while True:
            began = time.perf_counter()
            try:
                answer = client.ask("tools/call", {"name": tool, "arguments": {}})
                if "result" not in answer:
                    current.failures.append(str(answer)[:300])
            except (OSError, http.client.HTTPException, AssertionError) as error:
                current.failures.append(repr(error))
            current.calls.append(time.perf_counter() - began)
            time.sleep(INTERVAL)

    def liveness() -> None:
        while True:
            began = time.perf_counter()
            try:
                probe = http.client.HTTPConnection("127.0.0.1", internal, timeout=PATIENCE)
                probe.request("GET", "/healthz")
                if probe.getresponse().status != 200:
                    current.failures.append("liveness")
                probe.close()
            except (OSError, http.client.HTTPException) as error:
                current.failures.append(f"liveness: {error!r}")
            current.liveness.append(time.perf_counter() - began)
            time.sleep(LIVENESS)

    for work in (calls, liveness):
        threading.Thread(target=work, daemon=True).start()
    for _ in sys.stdin:
        past, current = current, Period()
        print(json.dumps(vars(past)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
