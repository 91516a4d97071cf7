"""The configs of the `mmdet` wheel: fetched once into a folder, never committed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

VERSION = "3.3.0"
_INSIDE = "mmdet/.mim/configs/"


def find_configs(folder: Path, wheel: Path | None = None, configs: Path | None = None) -> Path:
    """The folder of the configs.

    Args:
        folder: Where a wheel is kept and unpacked.
        wheel: A wheel that is there already; it is downloaded if left out.
        configs: A folder of configs that is there already.

    Raises:
        SystemExit: There is no such file or folder, or the download failed.
    """
    if configs is not None:
        if not configs.is_dir():
            raise SystemExit(f"--configs: there is no folder {configs}")
        return configs.resolve()
    unpacked = folder / f"mmdet-{VERSION}"
    if wheel is not None or not (unpacked / _INSIDE).is_dir():
        _unpack(wheel or _download(folder), unpacked)
    return (unpacked / _INSIDE).resolve()


def _download(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    done = subprocess.run([*command, f"mmdet=={VERSION}"], capture_output=True, text=True)
    wheels = sorted(folder.glob(f"mmdet-{VERSION}-*.whl"))
    if done.returncode or not wheels:
        raise SystemExit(f"pip can't download mmdet {VERSION}; give --wheel PATH.\n{done.stderr.strip()}")
    return wheels[-1]


def _unpack(wheel: Path, target: Path) -> None:
    if not wheel.is_file():
        raise SystemExit(f"--wheel: there is no file {wheel}")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(_INSIDE)]
        if not members:
            raise SystemExit(f"{wheel} holds no {_INSIDE}: is it the wheel of mmdet {VERSION}?")
        archive.extractall(target, members)
