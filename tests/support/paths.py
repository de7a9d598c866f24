"""Where things are: the checkout, its build output, and the long caches outside of it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
IMAGES = BUILD / "images"
TEST_IMAGES = BUILD / "test-images"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcpgateway"
CLUSTER = CACHE / "cluster"  # short, because a UNIX socket's path has at most 107 characters
