"""`register_training_hooks`: the hooks of a run from the configs that MMCV 1.x has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.hooks import Hook
from toolkit.runner.legacy.hook import HOOKS
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

Given = Mapping[str, Any] | Hook | None


class TrainingHooks:
    """The `register_*_hook` methods of the legacy runners."""

    counts_epochs: bool

    if TYPE_CHECKING:  # of the runner

        def register_hook(self, hook: Any, priority: Any = None) -> None: ...

    def register_training_hooks(
        self,
        lr_config: Given,
        optimizer_config: Given = None,
        checkpoint_config: Given = None,
        log_config: Mapping[str, Any] | None = None,
        momentum_config: Given = None,
        timer_config: Given = {"type": "IterTimerHook"},  # noqa: B006 - only read
        custom_hooks_config: Sequence[Any] | Mapping[str, Any] | Hook | None = None,
    ) -> None:
        """Add the hooks of a training, with MMCV's priorities: learning rate, momentum, optimizer,
        checkpoints, timer, logs, and others.

        In an iteration-based run `by_epoch` is False where a config doesn't say.

        Args:
            lr_config: ``dict(policy='step', step=[8, 11], ...)``, or a hook; so are the next.
            optimizer_config: Arguments of `OptimizerHook`, or with another ``type``.
            checkpoint_config: Arguments of `CheckpointHook`.
            log_config: ``dict(interval=50, hooks=[dict(type='TextLoggerHook')])``.
            momentum_config: ``dict(policy='cyclic', ...)``.
            timer_config: The timer's config.
            custom_hooks_config: Further hooks; ``priority`` may stand in a config.
        """
        self.register_lr_hook(self._counted(lr_config))
        self.register_momentum_hook(self._counted(momentum_config))
        self.register_optimizer_hook(optimizer_config)
        self.register_checkpoint_hook(self._counted(checkpoint_config))
        if timer_config is not None:
            self.register_hook(timer_config, "LOW")
        self.register_logger_hooks(log_config)
        self.register_custom_hooks(custom_hooks_config)

    def register_lr_hook(self, lr_config: Given) -> None:
        """Add the learning rate updater of a policy."""
        self._register_policy(lr_config, "LrUpdaterHook", "VERY_HIGH")

    def register_momentum_hook(self, momentum_config: Given) -> None:
        """Add the momentum updater of a policy."""
        self._register_policy(momentum_config, "MomentumUpdaterHook", "HIGH")

    def register_optimizer_hook(self, optimizer_config: Given) -> None:
        """Add the hook that takes the optimisation steps."""
        self._register_typed(optimizer_config, "OptimizerHook", "ABOVE_NORMAL")

    def register_checkpoint_hook(self, checkpoint_config: Given) -> None:
        """Add the hook that saves."""
        self._register_typed(checkpoint_config, "CheckpointHook", "NORMAL")

    def register_logger_hooks(self, log_config: Mapping[str, Any] | None) -> None:
        """Add the loggers of a ``log_config``."""
        if log_config is None:
            return
        for cfg in log_config.get("hooks", ()):
            if isinstance(cfg, Hook):
                self.register_hook(cfg, "VERY_LOW")
                continue
            arguments = {"interval": log_config.get("interval", 10), **cfg}
            if not self.counts_epochs:
                arguments.setdefault("by_epoch", False)
            self.register_hook(arguments, "VERY_LOW")

    def register_custom_hooks(self, hooks: Any) -> None:
        """Add further hooks, or what their configs describe."""
        listed = hooks if isinstance(hooks, list | tuple) else [hooks] if hooks is not None else []
        for hook in listed:
            if isinstance(hook, Mapping):
                arguments = dict(hook)
                priority = arguments.pop("priority", None)
                self.register_hook(arguments, priority)
            else:
                self.register_hook(hook)

    def _counted(self, config: Given) -> Given:
        if self.counts_epochs or not isinstance(config, Mapping):
            return config
        return {"by_epoch": False, **config}

    def _register_typed(self, config: Given, default: str, priority: str) -> None:
        if isinstance(config, Mapping):
            self.register_hook({"type": default, **config}, priority)
        elif config is not None:
            self.register_hook(config, priority)

    def _register_policy(self, config: Given, suffix: str, priority: str) -> None:
        if not isinstance(config, Mapping) or "type" in config:
            self._register_typed(config, suffix, priority)
            return
        arguments = dict(config)
        if "policy" not in arguments:
            raise ConfigError(f"a config of a {suffix} needs a 'policy'; it has: {', '.join(arguments)}")
        policy = str(arguments.pop("policy"))
        known = {
            name.removesuffix(suffix).lower(): name for name in HOOKS.module_dict if name.endswith(suffix)
        }
        name = known.get(policy.removesuffix(suffix).lower())
        if name is None:
            raise ConfigError(
                f"policy {policy!r} is not known{did_you_mean(policy, known)}; there are: {', '.join(known)}"
            )
        self.register_hook({**arguments, "type": name}, priority)
