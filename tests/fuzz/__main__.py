"""`python -m tests.fuzz TARGET [--runs=N]`: fuzz by coverage from the corpus, with a fixed seed; exit code 0: nothing was found.

`--keep` adds the inputs that reach new code to the corpus.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 4096  # bytes of an input


def main(name: str, *options: str) -> None:
    """Fuzz one target. Ends the process."""
    with atheris.instrument_imports(include=["mcpgateway", "mcpgateway_operator"]):
        from .targets import TARGETS
    runs = next((option.removeprefix("--runs=") for option in options if option.startswith("--runs=")), "-1")
    kept = CORPUS / name
    with tempfile.TemporaryDirectory() as folder:
        folders = [str(kept)] if "--keep" in options else [folder, str(kept)]
        flags = [f"-runs={runs}", "-seed=15", f"-max_len={LONGEST}", "-timeout=20", "-verbosity=0", f"-artifact_prefix={folder}/"]
        atheris.Setup([sys.argv[0], *flags, *folders], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
