"""Published configs read as MMEngine reads them.

Needs MMEngine, and a folder of configs in TOOLKIT_TEST_CONFIGS.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from toolkit.config import Config, LazyObject

FOLDER = os.environ.get("TOOLKIT_TEST_CONFIGS", "")


def plain(value: Any) -> Any:
    """`value` in builtin containers, with references of either kind as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in dict.items(value)}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value)) if type(value) is tuple else [plain(item) for item in value]
    if isinstance(value, LazyObject):
        return value.dotted
    return f"{value.module}.{value}" if type(value).__name__ in ("LazyAttr", "LazyObject") else value


@pytest.mark.long
@pytest.mark.skipif(not FOLDER, reason="TOOLKIT_TEST_CONFIGS names no folder of configs")
def test_a_folder_of_configs_reads_as_mmengine_reads_it() -> None:
    reference = pytest.importorskip("mmengine.config").Config
    warnings.simplefilter("ignore")
    equal, different = 0, []
    for path in sorted(Path(FOLDER).rglob("*.py")):
        if "\ndef main(" in path.read_text(encoding="utf-8"):
            continue  # a script that lies beside the configs
        try:
            expected = reference.fromfile(path, import_custom_modules=False)._to_lazy_dict()
        except Exception:
            continue  # not a config, or one whose bases are missing
        try:
            found = Config.fromfile(path)._cfg_dict
        except Exception as error:
            different.append(f"{path}: {error}")
            continue
        if repr(plain(found)) == repr(plain(expected)):
            equal += 1
        else:
            different.append(str(path))
    print(f"{equal} configs are equal")
    assert equal
    assert not different
