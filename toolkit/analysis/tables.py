"""Numbers by module as text."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))

Columns = Mapping[str, Mapping[str, int]]


def readable(number: int) -> str:
    """A number with four digits and a unit: 25557032 is '25.56M'."""
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return str(number)


def table(model: nn.Module, columns: Columns, max_depth: int) -> str:
    """A table with a row a module, down to `max_depth` names deep.

    Args:
        model: Its modules are the rows.
        columns: Numbers by the module's name, by the column's title.
        max_depth: 0 shows the whole model only.
    """
    rows = [["module", *columns]]
    for name, module in model.named_modules():
        depth = name.count(".") + 1 if name else 0
        if depth > max_depth or not any(numbers.get(name) for numbers in columns.values()):
            continue
        title = "  " * depth + (name.rpartition(".")[2] if name else type(module).__name__)
        rows.append([title, *(readable(numbers.get(name, 0)) for numbers in columns.values())])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(_padded(row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _padded(row: list[str], widths: list[int]) -> list[str]:
    return [
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def architecture(model: nn.Module, columns: Columns, name: str = "", indent: int = 0) -> str:
    """A model as it prints, with its numbers at each module."""
    numbers = [f"{readable(values[name])} {title}" for title, values in columns.items() if values.get(name)]
    note = f"  # {', '.join(numbers)}" if numbers else ""
    children = list(model.named_children())
    head = f"{type(model).__name__}({model.extra_repr()}"
    if not children:
        return f"{head}){note}"
    pad = "  " * (indent + 1)
    lines = [f"{head}{note}"]
    for child, module in children:
        inner = architecture(module, columns, f"{name}.{child}" if name else child, indent + 1)
        lines.append(f"{pad}({child}): {inner}")
    return "\n".join([*lines, "  " * indent + ")"])
