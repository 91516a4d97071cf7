"""Files by functions: local ones and those of a storage behave the same."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toolkit import fileio
from toolkit.utils import ConfigError, DataError


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
        return
    yield f"memory://{tmp_path.name}"


def test_what_is_put_is_got(root: str) -> None:
    path = fileio.join_path(root, "a", "b.txt")
    assert not fileio.exists(path)
    fileio.put_text("grüße", path)
    assert fileio.get_text(path) == "grüße"
    assert fileio.get(path) == "grüße".encode()
    assert fileio.isfile(path)
    assert not fileio.isdir(path)
    assert fileio.isdir(fileio.join_path(root, "a"))
    fileio.put(b"\x00\x01", path)
    assert fileio.get(path) == b"\x00\x01"
    with fileio.get_local_path(path) as local:
        assert Path(local).read_bytes() == b"\x00\x01"
        assert Path(local).suffix == ".txt"
    assert os.path.exists(local) is ("://" not in root)
    fileio.remove(path)
    assert not fileio.exists(path)
    with pytest.raises(FileNotFoundError):
        fileio.remove(path)
    with pytest.raises(FileNotFoundError):
        fileio.get(path)


def test_folders_are_listed_copied_and_removed(root: str, tmp_path: Path) -> None:
    for name in ("a.txt", "b.json", ".hidden", "c/d.txt", "c/e/f.TXT"):
        fileio.put_text(name, fileio.join_path(root, name))
    assert sorted(fileio.list_dir_or_file(root)) == ["a.txt", "b.json", "c"]
    assert list(fileio.list_dir_or_file(root, list_dir=False, suffix=".txt")) == ["a.txt"]
    everything = {"a.txt", "b.json", "c", "c/d.txt", "c/e", "c/e/f.TXT"}
    assert set(fileio.list_dir_or_file(root, recursive=True)) == everything
    assert set(fileio.list_dir_or_file(root, list_file=False, recursive=True)) == {"c", "c/e"}
    with pytest.raises(TypeError, match="list_dir=False"):
        list(fileio.list_dir_or_file(root, suffix=".txt"))
    with pytest.raises(IsADirectoryError):
        fileio.remove(fileio.join_path(root, "c"))

    copy = fileio.join_path(root, "copy")
    assert fileio.copytree(fileio.join_path(root, "c"), copy) == copy
    assert fileio.get_text(fileio.join_path(copy, "e/f.TXT")) == "c/e/f.TXT"
    with pytest.raises(FileExistsError):
        fileio.copytree(fileio.join_path(root, "c"), copy)
    went = fileio.copyfile(fileio.join_path(root, "a.txt"), copy)
    assert fileio.get_text(went) == "a.txt"
    assert went == fileio.join_path(copy, "a.txt")
    fileio.rmtree(copy)
    assert not fileio.exists(copy)

    out = tmp_path / "out"
    fileio.copytree_to_local(root, out)
    assert (out / "c" / "e" / "f.TXT").read_text() == "c/e/f.TXT"
    assert (out / ".hidden").exists()
    fileio.copytree_from_local(out, fileio.join_path(root, "back"))
    assert fileio.get_text(fileio.join_path(root, "back", "c", "d.txt")) == "c/d.txt"
    fileio.copyfile_to_local(fileio.join_path(root, "a.txt"), tmp_path / "one.txt")
    fileio.copyfile_from_local(tmp_path / "one.txt", fileio.join_path(root, "two.txt"))
    assert fileio.get_text(fileio.join_path(root, "two.txt")) == "a.txt"


def test_a_link_or_a_copy(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    assert fileio.copy_if_symlink_fails(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "y").is_symlink()
    assert not fileio.copy_if_symlink_fails(tmp_path / "x", tmp_path / "y")  # it is there: copied over
    fileio.put(b"m", "memory://link/x")
    assert not fileio.copy_if_symlink_fails("memory://link/x", "memory://link/y")
    assert fileio.get("memory://link/y") == b"m"


VALUE = {"a": [1, 2.5, None], "b": {"c": "ü"}}


@pytest.mark.parametrize("name", ["x.json", "x.yaml", "x.yml", "x.pkl", "x.pickle"])
def test_values_round_trip(root: str, name: str) -> None:
    path = fileio.join_path(root, name)
    fileio.dump(VALUE, path)
    assert fileio.load(path) == VALUE
    form = name.rpartition(".")[2]
    text = fileio.dump(VALUE, file_format=form)
    stream: Any = io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text)
    assert fileio.load(stream, file_format=form) == VALUE
    out: Any = type(stream)()
    fileio.dump(VALUE, out, file_format=form)
    assert out.getvalue() == text


def test_json_takes_sets_ranges_and_arrays() -> None:
    value = {"s": {1}, "r": range(2), "n": np.float32(0.5), "a": np.arange(3)}
    assert fileio.dump(value, file_format="json") == '{"s": [1], "r": [0, 1], "n": 0.5, "a": [0, 1, 2]}'
    with pytest.raises(TypeError, match="object"):
        fileio.dump(object(), file_format="json")


def test_formats_that_are_not_told_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"did you mean 'yaml'"):
        fileio.load("x.yamll")
    with pytest.raises(ValueError, match="file_format"):
        fileio.dump(1)
    with pytest.raises(TypeError, match="file_format"):
        fileio.load(io.StringIO("1"))
    with pytest.raises(ValueError, match="former name"):
        fileio.load("x.json", file_client_args={}, backend_args={})


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)  # type: ignore[attr-defined]


def test_a_pickle_runs_no_code_unless_trusted(tmp_path: Path) -> None:
    evil = Evil()
    evil.path = str(tmp_path / "made")  # type: ignore[attr-defined]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(evil))
    with pytest.raises(DataError, match="trusted=True"):
        fileio.load(tmp_path / "x.pkl")
    assert not (tmp_path / "made").exists()
    fileio.load(tmp_path / "x.pkl", trusted=True)
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_of_arrays_and_tensors_needs_no_trust(tmp_path: Path, protocol: int) -> None:
    value = [{"a": np.arange(6.0).reshape(2, 3), "t": torch.arange(3), "n": np.int64(3), "s": {1, 2}}]
    fileio.dump(value, tmp_path / "x.pkl", protocol=protocol)
    read = fileio.load(tmp_path / "x.pkl")[0]
    np.testing.assert_array_equal(read["a"], value[0]["a"])
    assert read["t"].equal(torch.arange(3))
    assert (read["n"], read["s"]) == (3, {1, 2})


def test_lines_of_a_file_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1 a\n2\n")
    with pytest.raises(ValueError, match=r"x\.txt:2"):
        fileio.dict_from_file(tmp_path / "x.txt")


def test_backends_by_name_and_prefix() -> None:
    assert type(fileio.get_file_backend("/x")) is fileio.LocalBackend
    assert type(fileio.get_file_backend("https://x.org/y")) is fileio.HTTPBackend
    assert type(fileio.get_file_backend(backend_args={"backend": "local"})) is fileio.LocalBackend
    made = fileio.get_file_backend("s3://x", backend_args={"key": "k"})
    assert (type(made), made.options) == (fileio.FsspecBackend, {"key": "k"})
    with pytest.raises(ConfigError, match=r"did you mean 'local'"):
        fileio.get_file_backend(backend_args={"backend": "locl"})


def test_a_backend_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.fileio import backends as module

    monkeypatch.setattr(module, "backends", dict(module.backends))
    monkeypatch.setattr(module, "prefix_to_backends", dict(module.prefix_to_backends))

    @fileio.register_backend("echo", prefixes="echo")
    class Echo(fileio.BaseStorageBackend):
        def get(self, filepath: Any) -> bytes:
            return self.get_text(filepath).encode()

        def get_text(self, filepath: Any, encoding: str = "utf-8") -> str:
            return str(filepath)

    assert fileio.get("echo://hi") == b"echo://hi"
    assert fileio.get_text("hi", backend_args={"backend": "echo"}) == "hi"
    with pytest.raises(ValueError, match="force=True"):
        fileio.register_backend("echo", Echo)
    with pytest.raises(TypeError, match="BaseStorageBackend"):
        fileio.register_backend("x", int)


def test_the_former_file_client(tmp_path: Path) -> None:
    client = fileio.FileClient(backend="disk")
    client.put_text("x", tmp_path / "x.txt")
    assert client.get(tmp_path / "x.txt") == b"x"
    fileio.put(b"m", "memory://c/x")
    assert fileio.FileClient.infer_client(uri="memory://c/x").get("memory://c/x") == b"m"


def test_the_former_file_client_registers_and_reads_prefixes() -> None:
    @fileio.FileClient.register_backend("shout", prefixes="shout")  # type: ignore[misc]
    class Shout(fileio.BaseStorageBackend):
        def get(self, filepath: Any) -> bytes:
            return self.get_text(filepath).encode()

        def get_text(self, filepath: Any, encoding: str = "utf-8") -> str:
            return str(filepath).upper()

    assert fileio.FileClient("shout").get_text("a") == "A"
    assert fileio.FileClient(prefix="shout").name == "Shout"
    assert fileio.FileClient.infer_client(uri="shout://a").get("shout://a") == b"SHOUT://A"
    uris = ("s3://bucket/key", "cluster:s3://bucket/key", "/local/key")
    assert [fileio.FileClient.parse_uri_prefix(uri) for uri in uris] == ["s3", "s3", None]


def test_the_former_name_of_the_options_is_warned_of() -> None:
    with pytest.warns(FutureWarning, match="backend_args"):
        assert fileio.either_args({"backend": "disk"}, None) == {"backend": "disk"}
    assert fileio.either_args(None, {"key": 1}) == {"key": 1}
    with pytest.raises(ValueError, match="pass one"):
        fileio.either_args({}, {})
