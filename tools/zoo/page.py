"""The page that shows the survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from zoo.survey import BASE_FAMILY, STEPS, Row

# What this project doesn't set out to do; said on the page, so that their zeros are no surprise.
NOT_COVERED = {
    "tracking of several objects": (
        "bytetrack",
        "deepsort",
        "mask2former_vis",
        "masktrack_rcnn",
        "ocsort",
        "qdtrack",
        "sort",
        "strongsort",
    ),
    "re-identification": ("reid",),
    "text and images together": ("glip", "grounding_dino", "mm_grounding_dino"),
}
_SHOWN = 3


def page(rows: Sequence[Row], heading: str) -> str:
    """The page in Markdown.

    Args:
        rows: A row a config.
        heading: How, when and with which versions it was made.
    """
    whole = [row for row in rows if row.family != BASE_FAMILY]
    partial = [row for row in rows if row.family == BASE_FAMILY]
    families: dict[str, list[Row]] = {}
    for row in whole:
        families.setdefault(row.family, []).append(row)
    lines = [
        "# MMDetection's configs here",
        "",
        heading,
        "",
        f"**{sum(row.complete for row in whole)} of {len(rows)} configs load, build, train and predict.**",
        "",
        *_table_head(),
        *(_table_line(f"`{family}`", families[family]) for family in sorted(families)),
    ]
    if partial:
        loaded = sum(row.steps["load"] for row in partial)
        lines.append(
            f"| `{BASE_FAMILY}` (parts, not whole configs) | {len(partial)} | {loaded} | – | – | – | – | |"
        )
    lines += [_table_line("**all**", rows, with_reasons=False), "", *_not_covered(families)]
    return "\n".join([*lines, ""])


def _table_head() -> Iterable[str]:
    return (
        "| family | configs | load | build | train | predict | all four | first lacking |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    )


def _table_line(title: str, rows: Sequence[Row], with_reasons: bool = True) -> str:
    counts = [len(rows), *(sum(row.steps[step] for row in rows) for step in STEPS)]
    counts.append(sum(row.complete for row in rows))
    cells = [title, *map(str, counts), _reasons(rows) if with_reasons else ""]
    return f"| {' | '.join(cells)} |"


def _reasons(rows: Sequence[Row]) -> str:
    counted = reasons(rows).most_common()
    shown = [f"{text} ({count})" for text, count in counted[:_SHOWN]]
    rest = sum(count for _, count in counted[_SHOWN:])
    return ", ".join([*shown, *([f"others ({rest})"] if rest else [])])


def reasons(rows: Iterable[Row]) -> Counter[str]:
    """How many configs lack what first: a type, in backticks, or the failure."""
    found = Counter[str]()
    for row in rows:
        if not row.complete and row.family != BASE_FAMILY:
            text = f"`{row.lacking[0]}`" if row.lacking else row.reason.replace("|", "\\|")
            found[text if len(text) <= 120 else f"{text[:117]}…"] += 1
    return found


def _not_covered(families: Iterable[str]) -> Iterable[str]:
    present = set(families)
    kept = {title: [f"`{one}`" for one in names if one in present] for title, names in NOT_COVERED.items()}
    listed = [f"{title} ({', '.join(names)})" for title, names in kept.items() if names]
    return [f"Not covered by this project: {'; '.join(listed)}."] if listed else []
