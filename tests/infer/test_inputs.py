"""Files, folders and globs become image paths, and names that stand for nothing are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.infer.inputs import find_images, short_names
from toolkit.utils.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "notes.txt", "deep/c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(paths: list[str], top: Path) -> list[str]:
    return [str(Path(path).relative_to(top)) for path in paths]


def test_a_folder_is_searched_through_and_sorted(folder: Path) -> None:
    assert names(find_images([str(folder)]), folder) == ["a.PNG", "b.jpg", "deep/c.jpeg"]


def test_files_globs_and_repeats(folder: Path) -> None:
    found = find_images([str(folder / "b.jpg"), str(folder / "**" / "*.jpeg"), str(folder / "*.jpg")])
    assert names(found, folder) == ["b.jpg", "deep/c.jpeg"]


def test_a_missing_file_names_the_nearest(folder: Path) -> None:
    with pytest.raises(DataError, match=r"bb\.jpg.*did you mean 'b\.jpg'"):
        find_images([str(folder / "bb.jpg")])


@pytest.mark.parametrize("name", ["*.gif", "empty"])
def test_what_stands_for_no_image_is_refused(folder: Path, name: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="no"):
        find_images([str(folder / name)])


def test_short_names_keep_same_names_apart(folder: Path) -> None:
    assert short_names([str(folder / "b.jpg"), str(folder / "deep" / "b.jpg")]) == ["b.jpg", "deep/b.jpg"]
