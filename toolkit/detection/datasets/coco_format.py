"""Annotation files in COCO's format: reading and checking them, for the dataset and for the metric."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from toolkit.detection.datasets.faults import Faults, shown
from toolkit.detection.datasets.files import read_bytes
from toolkit.utils import DataError, did_you_mean

_SHOWN = 5
_SHOWN_CATEGORIES = 30
AMBIGUOUS_IMAGES = "images whose id another one has, too"
BAD_BOXES = "objects whose bbox isn't four finite numbers, or whose area isn't one"
COPIES = "objects that are listed twice"
SHARED_IDS = "objects whose id another one has, too, which are kept"


class CocoFile(NamedTuple):
    """The content of an annotation file, checked."""

    path: str
    images: dict[Any, dict[str, Any]]  # by id, in the file's order
    annotations: list[dict[str, Any]]
    categories: dict[Any, str]  # names by id, in the file's order
    category_entries: dict[Any, dict[str, Any]]  # by id, as the file has them


def read_coco_file(
    path: str,
    backend_args: Mapping[str, Any] | None = None,
    *,
    faults: Faults | None = None,
    unique_annotation_ids: bool = True,
) -> CocoFile:
    """Read an annotation file (`instances_*.json`, or `image_info_*.json`, which has no annotations).

    Images that share an id are left out, since nobody can tell whose the objects are, and so are these; so
    are objects without a usable box, and exact copies of others.

    Args:
        path: A local path or a URL that fsspec understands.
        backend_args: Options of the fsspec file system.
        faults: Takes note of what is left out.
        unique_annotation_ids: Whether two annotations of the same id are a fault.

    Raises:
        DataError: The file is missing, or isn't in COCO's format.
    """
    faults = Faults() if faults is None else faults
    content = _parse(path, read_bytes(path, "annotation file", backend_args))
    for place, annotation in enumerate(content["annotations"]):
        _check_annotation(path, place, annotation)
    repeated = _repeated(path, "categories", (category["id"] for category in content["categories"]))
    if repeated:
        raise DataError(
            f"{path!r} has several categories of one id ({shown(repeated, len(repeated))}); each needs an id "
            "of its own."
        )
    ambiguous = set(_repeated(path, "images", (image["id"] for image in content["images"])))
    for image in content["images"]:
        if image["id"] in ambiguous:
            faults.note(AMBIGUOUS_IMAGES, f"{image.get('file_name')} (id {image['id']})")
    images = {image["id"]: image for image in content["images"] if image["id"] not in ambiguous}
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    annotations = [one for one in content["annotations"] if one["image_id"] not in ambiguous]
    annotations = _with_boxes(annotations, images, faults)
    if unique_annotation_ids:
        annotations = _without_copies(path, annotations, images, faults)
    entries = {category["id"]: category for category in content["categories"]}
    return CocoFile(path, images, annotations, names, entries)


def place_of(annotation: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]]) -> str:
    """Where an object is, for reports: its image's file and its id."""
    image = images.get(annotation["image_id"])
    name = f"image_id {annotation['image_id']!r}" if image is None else image.get("file_name")
    return f"{name} (annotation {annotation.get('id')})"


def _with_boxes(
    annotations: list[dict[str, Any]], images: Mapping[Any, Mapping[str, Any]], faults: Faults
) -> list[dict[str, Any]]:
    usable = []
    for annotation in annotations:
        box = annotation["bbox"]
        numbers = [*box, annotation.get("area", 0)] if isinstance(box, list) and len(box) == 4 else [None]
        if all(map(_is_finite, numbers)):
            usable.append(annotation)
        else:
            faults.note(BAD_BOXES, place_of(annotation, images))
    return usable


def _without_copies(
    path: str, annotations: list[dict[str, Any]], images: Mapping[Any, Mapping[str, Any]], faults: Faults
) -> list[dict[str, Any]]:
    """Leave out exact copies of objects, and note those that share nothing but the id."""
    repeated = set(_repeated(path, "annotations", (one["id"] for one in annotations if "id" in one)))
    if not repeated:
        return annotations
    kept, seen = [], dict[Any, list[dict[str, Any]]]()
    for annotation in annotations:
        number = annotation.get("id")
        if number in repeated:
            before = seen.setdefault(number, [])
            is_copy = annotation in before
            if before:
                faults.note(COPIES if is_copy else SHARED_IDS, place_of(annotation, images))
            if is_copy:
                continue
            before.append(annotation)
        kept.append(annotation)
    return kept


def category_ids(file: CocoFile, classes: Sequence[str], fix: str, missing_ok: bool = False) -> list[Any]:
    """The category id of each class, in the order of `classes`.

    Args:
        file: The annotation file.
        classes: Names.
        fix: How to set it right, for the error message.
        missing_ok: Give None for a class that the file doesn't know.

    Raises:
        DataError: The file has no category of a name, or several.
    """
    named: dict[str, list[Any]] = {}
    for number, name in file.categories.items():
        named.setdefault(name, []).append(number)
    for name in classes:
        if len(named.get(name, ())) > 1:
            raise DataError(
                f"{file.path!r} has {len(named[name])} categories named {name!r} (ids "
                f"{', '.join(map(str, named[name]))}): a class is one category. "
                "Give them one id, or other names."
            )
    absent = [name for name in classes if name not in named]
    if absent and not missing_ok:
        raise DataError(_missing_categories(file, absent, classes, fix))
    return [named[name][0] if name in named else None for name in classes]


def _parse(path: str, text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"The annotation file {path!r} is no valid JSON: {error}.") from error
    needed = ("images", "categories")
    lists = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in needed)
    if not lists or not isinstance(content.get("annotations") or [], list):
        has = ", ".join(sorted(content)) or "nothing" if isinstance(content, dict) else "no object at its top"
        raise DataError(
            f"The annotation file {path!r} isn't in COCO's format: it must hold the lists 'images', "
            f"'categories' and, but for a test set, 'annotations'; it holds {has}."
        )
    content["annotations"] = content.get("annotations") or []
    for section, keys in (("images", ("id",)), ("categories", ("id", "name"))):
        for place, item in enumerate(content[section]):
            for key in keys:
                if not isinstance(item, dict) or key not in item:
                    raise DataError(f"{path!r}: {section}[{place}] has no {key!r}.")
    return content


def _repeated(path: str, section: str, ids: Iterable[Any]) -> list[Any]:
    """The ids that occur several times."""
    try:
        counts = Counter(ids)
    except TypeError as error:
        raise DataError(f"{path!r}: an id in {section!r} is neither a number nor a text.") from error
    return [number for number, count in counts.items() if count > 1]


def _check_annotation(path: str, place: int, annotation: Any) -> None:
    if not isinstance(annotation, dict):
        raise DataError(f"{path!r}: annotations[{place}] is a {type(annotation).__name__}, not an object.")
    for key in ("image_id", "category_id", "bbox"):
        if key not in annotation:
            raise DataError(
                f"{path!r}: annotations[{place}] (id {annotation.get('id')}) has no {key!r}; it has "
                f"{', '.join(sorted(annotation))}. An object has image_id, category_id and bbox."
            )
        if key != "bbox" and isinstance(annotation[key], (list, dict)):
            raise DataError(
                f"{path!r}: {key!r} of annotations[{place}] (id {annotation.get('id')}) is neither a number "
                f"nor a text: {annotation[key]!r}."
            )


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _missing_categories(file: CocoFile, absent: list[str], classes: Sequence[str], fix: str) -> str:
    names = list(file.categories.values())
    others = [name for name in names if name not in classes]
    more = len(absent) - _SHOWN
    held = ", ".join(names[:_SHOWN_CATEGORIES]) + (", …" if len(names) > _SHOWN_CATEGORIES else "")
    return (
        f"{file.path!r} has no category named "
        + ", ".join(repr(name) for name in absent[:_SHOWN])
        + (f" and {more} more of the {len(classes)} classes" if more > 0 else "")
        + f"{did_you_mean(absent[0], others) or '.'} Its categories are: {held or 'none'}. {fix}"
    )
