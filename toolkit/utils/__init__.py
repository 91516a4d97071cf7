"""Small parts that every layer may use: errors, suggestions, seeding; and what MMEngine's `utils` offers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from toolkit.utils.errors import (
    BuildError,
    CheckpointError,
    ConfigError,
    DataError,
    ToolkitError,
    TrainingError,
)
from toolkit.utils.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    from toolkit.utils.decorators import (
        check_prerequisites,
        deprecated_api_warning,
        deprecated_function,
        has_method,
        is_method_overridden,
        requires_executable,
        requires_package,
    )
    from toolkit.utils.manager import ManagerMeta, ManagerMixin
    from toolkit.utils.packages import (
        call_command,
        get_installed_path,
        get_object_from_string,
        import_modules_from_strings,
        install_package,
        is_installed,
    )
    from toolkit.utils.path import (
        check_file_exist,
        fopen,
        is_abs,
        is_filepath,
        mkdir_or_exist,
        scandir,
        symlink,
    )
    from toolkit.utils.progress import (
        ProgressBar,
        track_iter_progress,
        track_parallel_progress,
        track_progress,
        track_progress_rich,
    )
    from toolkit.utils.sequences import (
        apply_to,
        concat_list,
        is_list_of,
        is_seq_of,
        is_str,
        is_tuple_of,
        iter_cast,
        list_cast,
        slice_list,
        to_1tuple,
        to_2tuple,
        to_3tuple,
        to_4tuple,
        to_ntuple,
        tuple_cast,
    )
    from toolkit.utils.timer import Timer, TimerError, check_time
    from toolkit.utils.version import digit_version, get_git_hash

# Loaded at the first use: everything imports this package, and most of it needs the errors only.
_HOMES = {
    "decorators": (
        "check_prerequisites deprecated_api_warning deprecated_function has_method is_method_overridden "
        "requires_executable requires_package"
    ),
    "manager": "ManagerMeta ManagerMixin",
    "packages": (
        "call_command get_installed_path get_object_from_string import_modules_from_strings install_package "
        "is_installed"
    ),
    "path": "check_file_exist fopen is_abs is_filepath mkdir_or_exist scandir symlink",
    "progress": (
        "ProgressBar track_iter_progress track_parallel_progress track_progress track_progress_rich"
    ),
    "sequences": (
        "apply_to concat_list is_list_of is_seq_of is_str is_tuple_of iter_cast list_cast slice_list "
        "to_1tuple to_2tuple to_3tuple to_4tuple to_ntuple tuple_cast"
    ),
    "timer": "Timer TimerError check_time",
    "version": "digit_version get_git_hash",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "BuildError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ManagerMeta",
    "ManagerMixin",
    "ProgressBar",
    "Timer",
    "TimerError",
    "ToolkitError",
    "TrainingError",
    "apply_to",
    "call_command",
    "check_file_exist",
    "check_prerequisites",
    "check_time",
    "concat_list",
    "deprecated_api_warning",
    "deprecated_function",
    "did_you_mean",
    "digit_version",
    "fopen",
    "get_git_hash",
    "get_installed_path",
    "get_object_from_string",
    "has_method",
    "import_modules_from_strings",
    "install_package",
    "is_abs",
    "is_filepath",
    "is_installed",
    "is_list_of",
    "is_method_overridden",
    "is_seq_of",
    "is_str",
    "is_tuple_of",
    "iter_cast",
    "list_cast",
    "mkdir_or_exist",
    "nearest",
    "requires_executable",
    "requires_package",
    "scandir",
    "slice_list",
    "symlink",
    "to_1tuple",
    "to_2tuple",
    "to_3tuple",
    "to_4tuple",
    "to_ntuple",
    "track_iter_progress",
    "track_parallel_progress",
    "track_progress",
    "track_progress_rich",
    "tuple_cast",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
