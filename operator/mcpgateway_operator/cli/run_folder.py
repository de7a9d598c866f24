"""The folder of one run of `mcpgw up`: configuration, values of Secrets, and logs. It goes with the run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"mcpgw-(\d+)-.+")


@contextlib.contextmanager
def run_folder(gateway: str) -> Iterator[Path]:
    """A private folder that is removed at the end; those of runs that were killed are removed now, since they hold secrets."""
    root = Path(tempfile.gettempdir())
    _remove_abandoned(root)
    folder = Path(tempfile.mkdtemp(prefix=f"mcpgw-{os.getpid()}-{gateway}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        name = _NAME.fullmatch(folder.name)
        with contextlib.suppress(OSError):
            if name and not _runs(int(name[1])) and folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
