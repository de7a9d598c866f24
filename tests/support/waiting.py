"""How long tests wait: on conditions, so that it only matters where something is wrong, and then on the slowest machine."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 180.0  # seconds
