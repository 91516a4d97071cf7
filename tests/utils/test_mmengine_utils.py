"""What MMEngine's `utils` offers: values, paths, packages, decorators, versions."""

from __future__ import annotations

import sys
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import pytest
from packaging.version import InvalidVersion, Version
from packaging.version import parse as referee

from toolkit import utils


def test_checks_of_sequences() -> None:
    assert utils.is_list_of([1, 2], int)
    assert utils.is_list_of([1, "a"], (int, str))
    assert not utils.is_list_of((1, 2), int)
    assert not utils.is_list_of([1, 2.0], int)
    assert utils.is_tuple_of((1,), int)
    assert utils.is_seq_of("ab", str)
    assert not utils.is_seq_of({1}, int)
    assert utils.is_str("a")
    assert not utils.is_str(b"a")


def test_casts_and_cuts() -> None:
    assert utils.list_cast(["1", "2"], int) == [1, 2]
    assert utils.tuple_cast([1, 2], float) == (1.0, 2.0)
    assert list(utils.iter_cast([1], str)) == ["1"]
    with pytest.raises(TypeError, match="type to cast to"):
        utils.list_cast([1], "int")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="iterate"):
        utils.iter_cast(1, int)  # type: ignore[arg-type]
    assert utils.slice_list([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    assert utils.slice_list([1, 2, 3], [1, 0, 2]) == [[1], [], [2, 3]]
    with pytest.raises(ValueError, match="the list has 3"):
        utils.slice_list([1, 2, 3], [1, 1])
    with pytest.raises(ValueError, match="pieces of 2"):
        utils.slice_list([1, 2, 3], 2)
    assert utils.concat_list([[1], [2, 3]]) == [1, 2, 3]
    assert utils.to_2tuple(3) == (3, 3)
    assert utils.to_2tuple((3, 4)) == (3, 4)
    assert utils.to_ntuple(5)(0) == (0,) * 5


def test_apply_to_keeps_containers() -> None:
    Pair = namedtuple("Pair", "x y")
    data = OrderedDict(a=[1, "x"], b=Pair(2, {"c": 3}))
    changed = utils.apply_to(data, lambda x: isinstance(x, int), lambda x: -x)
    assert changed == OrderedDict(a=[-1, "x"], b=Pair(-2, {"c": -3}))
    assert type(changed) is OrderedDict
    assert type(changed["b"]) is Pair


VERSIONS = [
    "1", "1.2", "1.2.3", "v1.2", "1.2.3.4.5", "1.0a1", "1.0.alpha2", "1.0b", "1.0-rc.3", "1.0c1",
    "1.0.dev3", "1.0.post2", "1.0-1", "1.0rev", "2.0.1+cu118", "1!2.0", "1.0rc1.dev2", "1.0.post1.dev3",
]  # fmt: skip


@pytest.mark.parametrize("text", VERSIONS)
def test_versions_are_those_of_packaging(text: str) -> None:
    whole: Version = referee(text)
    got = utils.digit_version(text)
    assert got[:4] == (*whole.release, 0, 0, 0, 0)[:4]
    if whole.pre:
        assert got[4:] == ({"a": -3, "b": -2, "rc": -1}[whole.pre[0]], whole.pre[1])
    elif whole.is_prerelease:
        assert got[4:] == (-4, 0)
    else:
        assert got[4:] == ((1, whole.post) if whole.is_postrelease else (0, 0))


@pytest.mark.parametrize("text", ["", "x", "1.0.x", "1..0", "1.0+"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidVersion):
        referee(text)
    with pytest.raises(ValueError, match="is no version"):
        utils.digit_version(text)


def test_versions_compare() -> None:
    order = ["1.0.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post1", "1.0.1"]
    assert [min(order[i:], key=utils.digit_version) for i in range(len(order))] == order


def test_scandir(tmp_path: Path) -> None:
    for name in ("a.txt", "b.JPG", ".hidden.txt", "sub/c.jpg"):
        utils.mkdir_or_exist((tmp_path / name).parent)
        (tmp_path / name).touch()
    assert sorted(utils.scandir(tmp_path)) == ["a.txt", "b.JPG"]
    assert set(utils.scandir(str(tmp_path), recursive=True)) == {"a.txt", "b.JPG", "sub/c.jpg"}
    assert list(utils.scandir(tmp_path, ".jpg", recursive=True)) == ["sub/c.jpg"]
    found = utils.scandir(tmp_path, (".jpg", ".txt"), recursive=True, case_sensitive=False)
    assert set(found) == {"a.txt", "b.JPG", "sub/c.jpg"}
    with pytest.raises(TypeError, match="dir_path"):
        utils.scandir(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="suffix"):
        utils.scandir(tmp_path, 1)  # type: ignore[arg-type]


def test_paths(tmp_path: Path) -> None:
    utils.mkdir_or_exist("")
    utils.mkdir_or_exist(tmp_path / "a" / "b")
    utils.mkdir_or_exist(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    file = tmp_path / "f"
    with pytest.raises(FileNotFoundError, match=r"no .*f\b"):
        utils.check_file_exist(file, "no {}")
    with utils.fopen(file, "w") as opened:
        opened.write("x")
    utils.check_file_exist(str(file))
    with pytest.raises(ValueError):
        utils.fopen(0)  # type: ignore[arg-type]
    utils.symlink(file, tmp_path / "l")
    utils.symlink(tmp_path / "a", tmp_path / "l")
    assert (tmp_path / "l").resolve() == tmp_path / "a"
    with pytest.raises(FileExistsError):
        utils.symlink(file, tmp_path / "l", overwrite=False)
    assert utils.is_filepath(file)
    assert not utils.is_filepath(0)
    assert utils.is_abs("s3://x")
    assert utils.is_abs("/x")
    assert not utils.is_abs("x")


def test_modules_by_name() -> None:
    assert utils.import_modules_from_strings("os.path").__name__ in ("posixpath", "ntpath")
    assert [m.__name__ for m in utils.import_modules_from_strings(["sys", "json"])] == ["sys", "json"]
    assert utils.import_modules_from_strings([]) is None
    with pytest.raises(ImportError, match="no_such"):
        utils.import_modules_from_strings("no_such")
    with pytest.warns(UserWarning, match="no_such"):
        assert utils.import_modules_from_strings(["no_such"], allow_failed_imports=True) == [None]
    with pytest.raises(TypeError):
        utils.import_modules_from_strings([1])  # type: ignore[list-item]


def test_objects_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert utils.get_object_from_string("collections.OrderedDict.fromkeys")("a") == {"a": None}
    assert utils.get_object_from_string("xml.dom") is sys.modules["xml.dom"]
    assert utils.get_object_from_string("collections.nope") is None
    assert utils.get_object_from_string("nope.x") is None
    package = tmp_path / "namesake"
    package.mkdir()
    (package / "__init__.py").write_text("from namesake.nms import nms\n")
    (package / "nms.py").write_text("def nms(): ...\n")
    (package / "broken.py").write_text("import no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert utils.get_object_from_string("namesake.nms").__qualname__ == "nms"
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        utils.get_object_from_string("namesake.broken.x")


def test_packages() -> None:
    assert utils.is_installed("torch")
    assert utils.is_installed("opencv-python-headless") or utils.is_installed("cv2")
    assert not utils.is_installed("no-such-package")
    assert Path(utils.get_installed_path("torch")).name == "torch"
    assert Path(utils.get_installed_path("PyYAML")).name == "yaml"
    with pytest.raises(ImportError):
        utils.get_installed_path("no-such-package")
    utils.call_command([sys.executable, "-c", ""])


def test_what_a_function_needs() -> None:
    @utils.requires_package(["json", "no_such_package"])
    def lacks() -> None: ...

    @utils.requires_package("json")
    def has() -> int:
        return 1

    @utils.requires_executable("no_such_program")
    def program() -> None: ...

    assert has() == 1
    with pytest.raises(RuntimeError, match=r'"no_such_package" .* "lacks"'):
        lacks()
    with pytest.raises(RuntimeError, match="no_such_program"):
        program()


def test_deprecations() -> None:
    @utils.deprecated_api_warning({"old": "new"}, cls_name="C")
    def function(new: int) -> int:
        return new

    with pytest.warns(DeprecationWarning, match=r'"old" is deprecated in `C\.function`, please use "new"'):
        assert function(old=3) == 3  # type: ignore[call-arg]
    assert function(new=4) == 4
    with pytest.raises(TypeError, match="both"):
        function(old=1, new=2)  # type: ignore[call-arg]

    @utils.deprecated_function("1.0", "2.0", "call other()")
    def gone() -> int:
        """Counts."""
        return 5

    with pytest.warns(DeprecationWarning, match=r"since 1\.0 .* 2\.0: call other"):
        assert gone() == 5
    assert "Counts." in str(gone.__doc__)
    assert "deprecated:: 1.0" in str(gone.__doc__)


def test_methods() -> None:
    class Base:
        field = 1

        def run(self) -> None: ...

    class Same(Base): ...

    class Other(Base):
        def run(self) -> None: ...

    assert utils.has_method(Base(), "run")
    assert not utils.has_method(Base(), "field")
    assert utils.is_method_overridden("run", Base, Other)
    assert utils.is_method_overridden("run", Base, Other())
    assert not utils.is_method_overridden("run", Base, Same)
    with pytest.raises(TypeError):
        utils.is_method_overridden("run", Base(), Same)  # type: ignore[arg-type]


def test_the_hash_of_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert utils.get_git_hash("none") == "none"
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        utils.call_command(["git", "-c", "user.name=x", "-c", "user.email=x@y", *command])
    whole = utils.get_git_hash()
    assert len(whole) == 40
    assert utils.get_git_hash(digits=7) == whole[:7]
    with pytest.raises(TypeError):
        utils.get_git_hash(digits="7")  # type: ignore[arg-type]


def test_every_name_is_there() -> None:
    missing: list[Any] = [name for name in utils.__all__ if not hasattr(utils, name)]
    assert not missing
    with pytest.raises(AttributeError):
        utils.no_such_name  # noqa: B018
