"""Tables as kubectl prints them: columns of equal width, two blanks apart, without borders. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .text import one_line

_GAP = 2  # blanks between columns


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, width: int = 0) -> Iterator[str]:
    """The lines of a table. `width`: the columns of the terminal, to which the last column is cut; 0 cuts nothing."""
    cells = [[one_line(str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        text = (" " * _GAP).join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip()
        yield text if not width or len(text) <= width else f"{text[: width - 1]}…"
