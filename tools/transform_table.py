"""Write docs/transforms.md: every transform of detection pipelines, with the keys that it reads and writes.

python tools/transform_table.py            # rewrites the page
python tools/transform_table.py --check    # fails where the page is out of date
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import toolkit.detection.transforms
import toolkit.transforms
from toolkit.transforms import BaseTransform

PAGE = Path(__file__).resolve().parents[1] / "docs" / "transforms.md"
MARK = "<!-- made by tools/transform_table.py -->\n"
PACKAGES = (toolkit.detection.transforms, toolkit.transforms)


def transforms() -> list[type[BaseTransform]]:
    """The public transforms of detection and those of no task, by name."""
    public = [getattr(package, name) for package in PACKAGES for name in package.__all__]
    found = {item for item in public if inspect.isclass(item) and issubclass(item, BaseTransform)}
    return sorted(found - {BaseTransform}, key=lambda item: item.__name__.lower())


def table() -> str:
    """The table, in Markdown."""
    lines = ["| transform | what it does | reads | changes where present | writes |", "|---|---|---|---|---|"]
    for item in transforms():
        first = inspect.cleandoc(item.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        keys = (" ".join(f"`{key}`" for key in group) for group in (item.reads, item.changes, item.writes))
        lines.append(f"| `{item.__name__}` | {first} | {' | '.join(keys)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page as it should be: what stands before the mark, and the table."""
    before = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    return before + MARK + table()


def main() -> int:
    """Write the page, or compare it."""
    wanted = page()
    if "--check" not in sys.argv:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{PAGE} is out of date: run python tools/transform_table.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
