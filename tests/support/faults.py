"""Measured recovery times, by row of the fault list; `python -m tests.support.faults` writes them into docs/faults.md."""

from __future__ import annotations

import json
from statistics import median

from .paths import BUILD, ROOT

MANUAL = ROOT / "docs" / "faults.md"
_TIMES = BUILD / "faults.jsonl"

ROWS = {
    "O1": ("operator killed at any write of a reconcile", "a new one brings about the same objects", "test_faults.py"),
    "O2": ("409 on writes", "tried again, no flood of events", "test_faults.py"),
    "O3": ("410 on watches", "lists anew; nothing is missed", "test_faults.py"),
    "O4": ("429 with Retry-After", "waits as long as it says", "test_faults.py"),
    "O5": ("503 on all writes of one gateway", "backoff up to 30 s; the others go on", "test_faults.py"),
    "O6": ("API server accepts and never answers", "each request ends after 30 s; the others go on", "test_faults.py"),
    "O7": ("watches fall silent", "noticed after 70 s, begun anew", "test_faults.py"),
    "O8": ("API server goes away and comes back", "goes on; the gateways never notice", "test_faults.py"),
    "O9": ("etcd goes back to an older snapshot", "its Lease tells; children that live are left alone", "test_faults.py"),
    "O10": ("two operators", "a Lease: one acts, the other goes on at once", "test_robustness.py"),
    "O11": ("somebody else's KopfPeering", "nothing to us", "test_robustness.py"),
    "O12": ("deleted while its children are being made", "nothing is left", "test_faults.py"),
    "O13": ("deleted while the operator is down", "nothing waits: there are no finalizers", "test_operator.py"),
    "O14": ("finalizers of an older version", "there never was one, and no handler adds one", "test_handlers.py"),
    "O15": ("a child edited or deleted by hand", "restored", "test_faults.py, test_operator.py, test_robustness.py"),
    "O16": ("another label selector", "cannot be asked for: selectors come from names", "test_schema.py"),
    "O17": ("an object of that name belongs to somebody else", "Conflict; never taken over", "test_operator.py"),
    "O18": (
        "hundreds of wrong resources",
        "refused with the field's name, or a condition; no dangerous one gets in",
        "test_wrong.py",
    ),
    "O19": ("a stored resource breaks a newer rule", "Accepted=False/Invalid; the others go on", "test_robustness.py"),
    "O20": (
        "the CRD is deleted by accident, and comes back",
        "gateways go with it; the operator starts anew",
        "test_faults.py",
    ),
    "O21": ("a Secret is not there yet", "MissingReference; used as soon as the kubelet has it", "e2e/test_product.py"),
    "O22": ("a Secret is rotated", "reaches the servers without a roll, within 90 s", "e2e/test_rotation.py"),
    "O23": ("an image cannot be pulled", "the server is named, the others serve", "e2e/test_product.py"),
    "O24": ("quota or admission refuses the pods", "the condition has their words", "test_operator.py"),
    "O25": ("a right is taken away", "Forbidden, with verb and kind; the rest goes on", "test_faults.py"),
    "O26": ("the namespace is terminating", "no further write, no flood of errors", "test_faults.py"),
    "O27": ("1,000 and 5,000 gateways at once", "all objects; figures in docs/operations.md", "bench/scale.py"),
    "O28": ("one gateway's writes always fail", "backoff; the others go on", "test_faults.py"),
    "O29": ("64 servers with 64 variables each", "works", "test_faults.py"),
    "O30": ("clocks ten minutes apart", "the Lease is kept: nobody compares clocks", "test_robustness.py"),
    "O31": ("pods are evicted", "a budget keeps one gateway pod; sessions go on", "e2e/test_rotation.py"),
    "O32": ("thousands of passes", "memory stays as it is", "test_faults.py"),
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
        "Written by `make faults`, from a run of the tests in `tests/api`. Times are from the end of the fault until all is",
        "well, in seconds: median and largest of so many, on two cores; — where nothing has to recover.",
        "",
        "| # | fault | what happens | s, median | largest | of | tests |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, (fault, behaviour, tests) in ROWS.items():
        seen = times.get(row)
        figures = f"{median(seen):.1f} | {max(seen):.1f} | {len(seen)}" if seen else "— | — | —"
        lines.append(f"| {row} | {fault} | {behaviour} | {figures} | {tests} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    MANUAL.write_text(table())
