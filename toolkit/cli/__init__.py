"""The command line: `toolkit` with its subcommands, and one console script for each main job.

Commands are thin: they parse, call one function of the layer below, and turn a `ToolkitError`
into a message and an exit code. Nothing here imports torch before a command runs.
"""

from __future__ import annotations

from importlib import import_module

import click

from toolkit.version import __version__

# name -> (module, attribute); a module is imported when its command is asked for.
COMMANDS = {
    "train": ("toolkit.cli.train", "train"),
    "test": ("toolkit.cli.test", "test"),
    "infer": ("toolkit.cli.infer", "infer"),
    "config": ("toolkit.cli.config", "config"),
    "analyze": ("toolkit.cli.analyze", "analyze"),
    "convert": ("toolkit.cli.convert", "convert"),
    "publish": ("toolkit.cli.publish", "publish"),
}


class LazyGroup(click.Group):
    """A click group that imports a subcommand's module only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="toolkit")
def main() -> None:
    """Train, test and infer from config files."""


__all__ = ["main"]
