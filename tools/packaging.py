"""Build step: put `configs/` into the wheel as `toolkit/_configs/`, where `config_root()` finds them."""

import os
import shutil

from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """build_py that adds the config files; an editable install reads them from the checkout instead."""

    def run(self) -> None:
        """Build the package, then copy `configs/` beside its modules."""
        super().run()
        if not self.editable_mode:
            target = os.path.join(self.build_lib, "toolkit", "_configs")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("configs", target, ignore=shutil.ignore_patterns("__pycache__"))
