"""Where config files are: beside each other, shipped with this package, or in another installed one."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from toolkit.config.origin import display_path
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

SUFFIXES = (".py", ".yaml", ".yml", ".json")
_OUR_SCOPES = frozenset(
    {"toolkit", "detection", "classification", "mmengine", "mmdet", "mmpretrain", "mmcls"}
)


def config_root() -> Path:
    """The folder of the configs that are shipped with this package.

    In an installed wheel they are package data; in a checkout, or a package installed from one in editable
    form, they are the folder ``configs`` beside the package.

    Raises:
        ConfigError: if there are none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_configs", package.parent / "configs"):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"No configs were installed with {package}; install toolkit from its wheel or a checkout."
    )


def _package_folders(scope: str) -> list[Path]:
    """The folders that ``scope::`` may stand for, best first."""
    folders = [config_root()] if scope in _OUR_SCOPES else []
    if scope.isidentifier() and scope not in ("toolkit", "detection", "classification"):
        spec = find_spec(scope)  # finds a top-level package without importing it
        for location in (spec.submodule_search_locations or ()) if spec is not None else ():
            folders += [Path(location) / ".mim" / "configs", Path(location) / "configs"]
    return folders


def resolve_base(written: str, including: str) -> tuple[str, str | None]:
    """The file that an entry of ``_base_`` names, and its scope.

    Args:
        written: a path relative to the including file, or ``scope::path`` in the configs of a package.
        including: the path of the file that holds the entry.
    """
    if "::" not in written:
        return os.path.normpath(os.path.join(os.path.dirname(including), os.path.expanduser(written))), None
    scope, _, inner = written.partition("::")
    return shipped(scope, inner), scope


def shipped(scope: str, inner: str) -> str:
    """The path of the config `inner` of a package.

    Raises:
        ConfigError: if there is no such package or file.
    """
    folders = _package_folders(scope)
    if not folders:
        known = did_you_mean(scope, sorted(_OUR_SCOPES))
        raise ConfigError(f"{scope}::{inner}: no configs of {scope!r} are shipped or installed{known}")
    for folder in folders:
        for path in (folder / inner, folder / f"{inner}.py"):
            if path.is_file():
                return str(path)
    return str(folders[0] / inner)


def config_files(scope: str | None = None) -> dict[str, str]:
    """The configs that are shipped for use as they are: paths by name, which is that of the file.

    Args:
        scope: a project, such as ``mmdet``; None for this one.
    """
    found: dict[str, str] = {}
    for folder in _package_folders(scope or "toolkit"):
        for path in sorted(folder.rglob("*.py")):
            if "_base_" not in path.relative_to(folder).parts:
                found.setdefault(path.stem, str(path))
    return found


def resolve_module(module: str, level: int, including: str) -> str:
    """The file that ``from <module> import`` inside ``with read_base():`` names.

    Args:
        module: the dotted name, without its leading dots.
        level: the number of leading dots.
        including: the path of the file that holds the import.
    """
    parts = module.split(".")
    if level:
        folder = Path(including).parent
        for _ in range(level - 1):
            folder = folder.parent
        return f"{folder.joinpath(*parts)}.py"
    package, inner = parts[0], parts[1:]
    candidates = [
        folder.joinpath(*inner[1:]) for folder in _package_folders(package) if inner[:1] == ["configs"]
    ]
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        candidates.append(Path(location).joinpath(*inner))
    files = [f"{path}.py" for path in candidates]
    return next((file for file in files if os.path.isfile(file)), files[0] if files else f"{module}.py")


def missing_file(path: str) -> str:
    """What to say of a config file that is not there: the nearest name that is."""
    folder, name = os.path.split(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    entries = sorted(os.listdir(folder))
    guess = did_you_mean(name, entries)
    if not guess and os.path.splitext(name)[1] not in SUFFIXES:
        guess = did_you_mean(name, [os.path.splitext(entry)[0] for entry in entries])
    lacks = "" if name == os.path.basename(path) else f" ({display_path(folder)} has no {name!r})"
    return f"{display_path(path)} does not exist{lacks}{guess}"
