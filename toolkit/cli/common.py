"""What the commands share: options, config loading and the way errors are shown."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.utils.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])

CONFIG_SUFFIXES = (".py", ".yaml", ".yml", ".json")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_OVERRIDE = re.compile(r"^[A-Za-z_][\w.\-]*=")


def shows_errors(command: Command) -> Command:
    """Print a `ToolkitError` as one message and exit with 1; any other exception keeps its traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ToolkitError as error:
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("\nInterrupted. Go on from the last checkpoint with --resume.", err=True)
            sys.exit(130)

    return run  # type: ignore[return-value]


def config_options(command: Command) -> Command:
    """Add the options that every command which reads a config takes."""
    options = (
        click.option(
            "--cfg-options",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override a config value; the same as a bare KEY=VALUE argument.",
        ),
        click.option(
            "--trust-config",
            is_flag=True,
            help="Run the config file as plain Python. Only for files whose author you trust.",
        ),
        click.option(
            "--allow-package",
            multiple=True,
            metavar="NAME",
            help="Let `type='NAME.…'` in the config import from this package.",
        ),
        click.option(
            "--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps …; the best at hand if left out."
        ),
        click.option("--seed", type=int, help="Random seed. One is drawn, printed and saved if left out."),
    )
    for option in reversed(options):
        command = option(command)
    return command


launcher_option = click.option(
    "--launcher",
    type=click.Choice(["none", "pytorch", "slurm", "mpi"]),
    default="none",
    show_default=True,
    help="How the processes of a distributed job were started.",
)


def overrides_of(options: dict[str, Any]) -> dict[str, Any]:
    """The config values that the options which training and testing share stand for."""
    extra: dict[str, Any] = {}
    if options["launcher"] != "none":
        extra["launcher"] = options["launcher"]
    if options["seed"] is not None:
        extra["randomness.seed"] = options["seed"]
    for name in ("device", "work_dir"):
        if options[name]:
            extra[name] = options[name]
    return extra


def is_override(argument: str) -> bool:
    """Whether a command-line argument has the form KEY=VALUE (and no file has that name)."""
    return bool(_OVERRIDE.match(argument)) and not os.path.exists(argument)


def split_overrides(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part bare arguments into (positional ones, KEY=VALUE overrides), each in order."""
    positional: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        (overrides if is_override(argument) else positional).append(argument)
    return positional, overrides


def find_config(name: str) -> str:
    """The path of a config: as given, or among the configs shipped with the package.

    `configs/quickstart/x.py` is found from any folder, also after a plain `pip install`.
    Where nothing is found the name comes back as it is, and reading it raises the clear error.
    """
    from toolkit.config import config_root

    if os.path.exists(name) or os.path.isabs(name):
        return name
    inside = Path(name)
    if inside.parts and inside.parts[0] == "configs":
        inside = Path(*inside.parts[1:])
    shipped = Path(config_root()) / inside
    if not shipped.is_file():
        return name
    click.echo(f"Using the config shipped with toolkit: {shipped}", err=True)
    return str(shipped)


def load_config(
    name: str,
    overrides: Iterable[str],
    extra: dict[str, Any] | None = None,
    *,
    trusted: bool = False,
    packages: Iterable[str] = (),
) -> Config:
    """Read a config with its overrides.

    Args:
        name: Path of the config file, or the name of a shipped one.
        overrides: `KEY=VALUE` texts.
        extra: Overrides that options such as `--work-dir` stand for, already values; these win.
        trusted: Run the file as plain Python.
        packages: Packages from which dotted `type`s may be imported besides our own.

    Raises:
        ConfigError: The file or an override can't be read or understood.
    """
    from toolkit.config import Config, parse_overrides
    from toolkit.registry import allow_package

    for package in packages:
        allow_package(package)
    values = {**parse_overrides(list(overrides)), **(extra or {})}
    cfg = Config.fromfile(find_config(name), overrides=values, trusted=trusted)
    show_migration(cfg, name)
    return cfg


def show_migration(cfg: Config, name: str) -> None:
    """Say on standard error what was done to a config of an older schema, if it was one."""
    if not cfg.migration:
        return
    click.secho(f"{name} follows an older schema (MMCV 1.x, MMDetection 2.x). Migrated:", err=True, bold=True)
    for line in cfg.migration:
        click.echo(f"  {line}", err=True)
    click.echo(f"  To keep the result: toolkit config migrate {name} NEW.py", err=True)


def default_work_dir(config: str) -> str:
    """`./work_dirs/NAME` for a config file called NAME.py."""
    return os.path.join("work_dirs", Path(config).stem)
