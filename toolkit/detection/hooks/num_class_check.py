"""Compares the classes of heads with those of the data."""

from __future__ import annotations

import logging

from toolkit.detection.registry import HOOKS
from toolkit.hooks import Hook
from toolkit.hooks.hook import Runner
from toolkit.utils import ConfigError

logger = logging.getLogger("toolkit")


@HOOKS.register_module()
class NumClassCheckHook(Hook):
    """Stops a run whose heads have another number of classes than its data.

    What a config says is checked before a run starts; this looks at the built heads, those without a
    ``num_classes`` in the config among them.

    Raises:
        ConfigError: They differ.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Look at the training data."""
        self._check(runner, runner.train_dataloader.dataset)

    def before_val_epoch(self, runner: Runner) -> None:
        """Look at the validation data."""
        dataloader = runner.val_dataloader
        for dataset in getattr(dataloader, "datasets", {"": dataloader.dataset}).values():  # of named sets
            self._check(runner, dataset)

    @staticmethod
    def _check(runner: Runner, dataset: object) -> None:
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if classes is None:
            logger.warning("%s has no classes in its metainfo to check heads with", type(dataset).__name__)
            return
        for name, module in runner.model.named_modules():
            count = getattr(module, "num_classes", None)
            # an RPN tells objects from background, a backbone's classes are not those of the data
            if count is None or not name.rpartition(".")[2].endswith("head") or name.endswith("rpn_head"):
                continue
            if count != len(classes):
                raise ConfigError(
                    f"{name} has num_classes={count}, the data have {len(classes)} classes: "
                    f"{', '.join(map(str, classes[:5]))}{', ...' if len(classes) > 5 else ''}"
                )
