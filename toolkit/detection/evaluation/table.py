"""Plain text tables for logs."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[object]], footer: bool = False) -> str:
    """A table drawn with `+`, `-` and `|`.

    Args:
        rows: The header and the rows, all of one length.
        footer: Whether a line sets off the last row.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    line = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    body = [
        "|" + "|".join(f" {cell:<{width}} " for cell, width in zip(row, widths, strict=True)) + "|"
        for row in cells
    ]
    parts = [line, body[0], line, *body[1:], line]
    if footer:
        parts.insert(-2, line)
    return "\n".join(parts)
