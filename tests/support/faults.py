"""Measured recovery times, by row of the fault list; `python -m tests.support.faults` writes them into docs/faults.md."""

from __future__ import annotations

import json
from statistics import median

from .paths import BUILD, ROOT

MANUAL = ROOT / "docs" / "faults.md"
_TIMES = BUILD / "faults.jsonl"

ROWS = {
    "O1": ("operator killed at any write of a reconcile", "a new one creates the same objects", "test_faults.py"),
    "O2": ("409 on writes", "retried, without a flood of events", "test_faults.py"),
    "O3": ("410 on watches", "lists again; no change is missed", "test_faults.py"),
    "O4": ("429 with Retry-After", "waits for that time", "test_faults.py"),
    "O5": ("503 on all writes of one gateway", "backoff up to 30 s; other gateways are unaffected", "test_faults.py"),
    "O6": (
        "API server accepts and never answers",
        "each request times out after `--request-timeout` (30 s; here 5 s); other gateways are unaffected",
        "test_faults.py",
    ),
    "O7": (
        "watches stop delivering events",
        "detected after twice that and 10 s (70 s; here 20 s), watched again",
        "test_faults.py",
    ),
    "O8": ("API server is unavailable for a while", "resumes; the gateways are unaffected", "test_faults.py"),
    "O9": (
        "etcd is restored from an older snapshot",
        "detected by the operator's Lease; existing children are kept",
        "test_faults.py",
    ),
    "O10": ("two operators", "a Lease: one is active, the other takes over at once", "test_robustness.py"),
    "O11": ("a KopfPeering of another program", "ignored", "test_robustness.py"),
    "O12": ("deleted while its children are being created", "no object remains", "test_faults.py"),
    "O13": ("deleted while the operator is down", "deletion is not blocked: there are no finalizers", "test_operator.py"),
    "O14": ("finalizers of an older version", "none exists, and no handler adds one", "test_handlers.py"),
    "O15": ("a child edited or deleted by hand", "restored", "test_faults.py, test_operator.py, test_robustness.py"),
    "O16": ("another label selector", "not configurable: selectors derive from names", "test_schema.py"),
    "O17": ("an object of that name has another owner", "Conflict; never taken over", "test_operator.py"),
    "O18": (
        "hundreds of invalid resources",
        "rejected with the field's name, or a condition; no dangerous one is admitted",
        "test_wrong.py",
    ),
    "O19": (
        "a stored resource breaks a newer rule",
        "Accepted=False/Invalid; other gateways are unaffected",
        "test_robustness.py",
    ),
    "O20": (
        "the CRD is deleted by accident and re-created",
        "gateways are deleted with it; the operator restarts its watches",
        "test_faults.py",
    ),
    "O21": ("a Secret does not exist yet", "MissingReference; used as soon as the kubelet mounts it", "e2e/test_product.py"),
    "O22": ("a Secret is rotated", "reaches the servers without a rollout, within 90 s", "e2e/test_rotation.py"),
    "O23": ("an image cannot be pulled", "the status names the server; the others serve", "e2e/test_product.py"),
    "O24": ("quota or admission refuses the pods", "the condition has their message", "test_operator.py"),
    "O25": ("a permission is removed", "Forbidden, with verb and kind; other objects are still applied", "test_faults.py"),
    "O26": ("the namespace is terminating", "no further write, no flood of errors", "test_faults.py"),
    "O27": ("1,000 and 5,000 gateways at once", "all objects; figures in docs/operations.md", "bench/scale.py"),
    "O28": ("one gateway's writes always fail", "backoff; other gateways are unaffected", "test_faults.py"),
    "O29": ("64 servers with 64 variables each", "works", "test_faults.py"),
    "O30": ("clocks ten minutes apart", "the Lease is kept: clocks are not compared", "test_robustness.py"),
    "O31": ("pods are evicted", "a disruption budget keeps one gateway pod; sessions continue", "e2e/test_rotation.py"),
    "O32": ("thousands of reconciles", "memory does not grow", "test_faults.py"),
}


def record(row: str, seconds: float) -> None:
    """Note one measured recovery."""
    _TIMES.parent.mkdir(exist_ok=True)
    with _TIMES.open("a") as out:
        out.write(json.dumps([row, round(seconds, 2)]) + "\n")


def table() -> str:
    """The manual's page, from what has been measured."""
    times: dict[str, list[float]] = {}
    for line in _TIMES.read_text().splitlines() if _TIMES.exists() else ():
        row, seconds = json.loads(line)
        times.setdefault(row, []).append(seconds)
    lines = [
        "# Faults that the operator is tested with",
        "",
        "Written by `make faults`, from a run of the tests in `tests/api`. Times are seconds from the end of the fault until",
        "every condition is True again: median, maximum and number of samples, on two cores; — where no recovery is needed.",
        "",
        "| # | fault | behaviour | median, s | maximum | samples | tests |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, (fault, behaviour, tests) in ROWS.items():
        seen = times.get(row)
        figures = f"{median(seen):.1f} | {max(seen):.1f} | {len(seen)}" if seen else "— | — | —"
        lines.append(f"| {row} | {fault} | {behaviour} | {figures} | {tests} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    MANUAL.write_text(table())
