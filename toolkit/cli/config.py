"""`toolkit config show|explain|diff|migrate`: look into config files, and bring old ones up to date."""

from __future__ import annotations

from typing import Any

import click

from toolkit.cli.common import CONTEXT, load_config, shows_errors, split_overrides
from toolkit.utils.errors import ConfigError


@click.group(context_settings=CONTEXT)
def config() -> None:
    """Show, explain, compare and migrate config files."""


_trust = click.option("--trust-config", is_flag=True, help="Run the config file as plain Python.")


@config.command(context_settings=CONTEXT)
@click.argument("path")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@_trust
@shows_errors
def show(path: str, overrides: tuple[str, ...], trust_config: bool) -> None:
    """Print the whole config, its bases merged and overrides applied."""
    cfg = load_config(path, overrides, trusted=trust_config)
    click.echo(cfg.pretty_text.rstrip())


@config.command(context_settings=CONTEXT)
@click.argument("path")
@click.argument("keys", nargs=-1, required=True, metavar="KEY... [KEY=VALUE]...")
@_trust
@shows_errors
def explain(path: str, keys: tuple[str, ...], trust_config: bool) -> None:
    """Say for each KEY what its value is and which file, line or option set it."""
    from toolkit.config import explain as explain_key

    names, overrides = split_overrides(keys)
    if not names:
        raise ConfigError(
            "Name the key to explain, for example: toolkit config explain configs/x.py model.backbone"
        )
    cfg = load_config(path, overrides, trusted=trust_config)
    click.echo("\n\n".join(explain_key(cfg, name) for name in names))


@config.command(context_settings=CONTEXT)
@click.argument("first")
@click.argument("second")
@_trust
@shows_errors
def diff(first: str, second: str, **options: Any) -> None:
    """Show how the merged values of two configs differ."""
    from toolkit.config import diff as diff_configs

    trusted = options["trust_config"]
    difference = diff_configs(
        load_config(first, (), trusted=trusted), load_config(second, (), trusted=trusted)
    )
    click.echo(difference.rstrip() or "The two configs are equal.")


@config.command(context_settings=CONTEXT)
@click.argument("old")
@click.argument("new", type=click.Path(dir_okay=False))
@_trust
@click.option("--force", is_flag=True, help="Replace NEW if it is there.")
@shows_errors
def migrate(old: str, new: str, trust_config: bool, force: bool) -> None:
    """Write a config of MMCV 1.x or MMDetection 2.x in the present schema, its bases merged.

    Each step is printed. Such configs also run as they are: every command migrates what it reads.
    """
    from pathlib import Path

    if Path(new).exists() and not force:
        raise ConfigError(f"{new} is there already; give another name, or --force to replace it")
    cfg = load_config(old, (), trusted=trust_config)
    if not cfg.migration:
        click.echo(f"{old} follows the present schema; nothing is to be done.")
        return
    Path(new).parent.mkdir(parents=True, exist_ok=True)
    cfg.dump(new)
    click.echo(f"{len(cfg.migration)} steps; wrote {new}")
