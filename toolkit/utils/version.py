"""Versions as tuples that compare."""

from __future__ import annotations

import re
import subprocess

_PRE = {"a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "pre": -1, "preview": -1}
# PEP 440, with the spellings that it lets through.
_VERSION = re.compile(
    r"\s*v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_n>\d*))?"
    r"(?P<post>-(?P<post_bare>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_n>\d*))?"
    r"(?P<dev>[-_.]?dev[-_.]?\d*)?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?\s*",
    re.IGNORECASE,
)


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """A version as a tuple of ints, so that versions compare: dev < alpha < beta < rc < release < post.

    Args:
        version_str: Such as ``1.13.0``, ``2.0rc1`` or ``2.1.0+cu118``; what follows the plus is left out.
        length: How many numbers of the release count; missing ones are 0.

    Returns:
        `length` numbers of the release and two for what comes before or after it.

    Raises:
        ValueError: `version_str` is no version.

    >>> digit_version("2.0rc1") < digit_version("2.0")
    True
    """
    found = _VERSION.fullmatch(version_str)
    if found is None:
        raise ValueError(f"{version_str!r} is no version such as '1.13.0' or '2.0rc1'")
    release = [int(number) for number in found["release"].split(".")][:length]
    release += [0] * (length - len(release))
    if found["pre"]:
        return (*release, _PRE[found["pre"].lower()], int(found["pre_n"] or 0))
    if found["dev"]:
        return (*release, -4, 0)
    if found["post"]:
        return (*release, 1, int(found["post_bare"] or found["post_n"] or 0))
    return (*release, 0, 0)


def get_git_hash(fallback: str = "unknown", digits: int | None = None) -> str:
    """The hash of the commit that is checked out in the current folder.

    Args:
        fallback: What is returned where there is no git or no repository.
        digits: Keep so many characters; all by default.

    Raises:
        TypeError: `digits` is no int.
    """
    if digits is not None and not isinstance(digits, int):
        raise TypeError(f"digits is an int or None, got {digits!r}")
    try:
        command = ["git", "rev-parse", "HEAD"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return fallback
    return found[:digits]
