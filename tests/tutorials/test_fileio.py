"""Files: values by format, formats of one's own, lists and dicts from text, several storages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import toolkit
from toolkit.fileio import (
    BaseFileHandler,
    dict_from_file,
    dump,
    file_handlers,
    get_local_path,
    get_text,
    list_from_file,
    load,
    put_text,
    register_handler,
)


def test_load_and_dump(tmp_path: Path) -> None:
    data = {"a": 1, "b": [1, 2]}
    for name in ("test.json", "test.yaml", "test.pkl"):
        toolkit.dump(data, str(tmp_path / name))
        assert toolkit.load(tmp_path / name) == data
        with open(tmp_path / name, "rb" if name.endswith("pkl") else "r") as file:
            assert load(file, file_format=name.rpartition(".")[2]) == data
    assert dump(data, file_format="json") == '{"a": 1, "b": [1, 2]}'


def test_a_format_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tutorial", "tut"):
        monkeypatch.setitem(file_handlers, name, file_handlers["json"])

    @register_handler(["tutorial", "tut"])
    class TxtHandler(BaseFileHandler):
        """Text."""

        def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
            return file.read()

        def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
            file.write(str(obj))

        def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
            return str(obj)

    dump([1, 2], tmp_path / "x.tut")
    assert load(tmp_path / "x.tut") == "[1, 2]"
    assert dump(3, file_format="tutorial") == "3"


def test_lists(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("a\nb\nc\nd\ne\n")
    assert list_from_file(file) == ["a", "b", "c", "d", "e"]
    assert list_from_file(file, offset=2) == ["c", "d", "e"]
    assert list_from_file(file, max_num=2) == ["a", "b"]
    assert list_from_file(file, prefix="/mnt/") == ["/mnt/a", "/mnt/b", "/mnt/c", "/mnt/d", "/mnt/e"]


def test_dicts(tmp_path: Path) -> None:
    file = tmp_path / "b.txt"
    file.write_text("1 cat\n2 dog cow\n3 panda\n")
    assert dict_from_file(file) == {"1": "cat", "2": ["dog", "cow"], "3": "panda"}
    assert dict_from_file(file, key_type=int) == {1: "cat", 2: ["dog", "cow"], 3: "panda"}


def test_other_storages_are_named_by_the_path() -> None:
    put_text("a\nb\n", "memory://tutorial/a.txt")
    assert get_text("memory://tutorial/a.txt") == "a\nb\n"
    assert list_from_file("memory://tutorial/a.txt") == ["a", "b"]
    with get_local_path("memory://tutorial/a.txt") as path:
        assert Path(path).read_text() == "a\nb\n"
    assert not Path(path).exists()
    dump({"x": 1}, "memory://tutorial/x.json")
    assert load("memory://tutorial/x.json") == {"x": 1}
