"""toolkit: a config-file-driven training toolkit for PyTorch."""

from toolkit.version import __version__

__all__ = ["__version__"]
