"""Retired words: texts and identifiers use the terms of the MCP specification, Kubernetes and HTTP (CONTRIBUTING.md)."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

RETIRED_WORDS = re.compile(
    r"\b(anew|nobody|mend|mends|mended|dear|insists?|former|manieth|pok(e|es|ed|ing)|feels?|feeling)\b"
    r"|\b(if need be|in the way|puts? up with|a person has to act|otherwise than|on (its|their) way|look at them)\b"
    r"|junk_messages|config-poke",
    re.IGNORECASE,
)
RETIRED_NAMES = frozenset({"known", "found", "said", "one", "feel", "insist", "under", "_goes_on", "_at_it"}) | frozenset(
    {"Desk", "Stamp", "Shelf", "Reach", "Watching", "Rounds", "Parking", "Opening"}
)
_TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "operator", "gateway", "charts", "crds", "examples", "tests")


def _tracked(*paths: str) -> Iterator[Path]:
    out = subprocess.run(["git", "ls-files", "-z", *paths], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, out.split("\0")):
        path = ROOT / name
        if path.suffix in (".md", ".py", ".go", ".yaml", ".j2", ".txt", ".tpl", ".json") and path != Path(__file__):
            yield path


def test_retired_words_do_not_come_back() -> None:
    hits = []
    for path in _tracked(*_TEXTS):
        if path.parent.name == "decisions" or "lock" in path.name or path.name == "requirements.txt":
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := RETIRED_WORDS.search(line):
                hits.append(f"{path.relative_to(ROOT)}:{number}: {match.group(0)}")
    assert hits == []


def test_identifiers_are_nouns_of_the_thing() -> None:
    hits = []
    for path in _tracked("operator", "gateway"):
        if path.suffix != ".py":
            continue
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        hits += [
            f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
            for token in tokens
            if token.type == tokenize.NAME and token.string in RETIRED_NAMES
        ]
    assert hits == []
