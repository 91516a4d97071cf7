"""`BaseModule`: a `torch.nn.Module` whose weights are initialised from a config."""

from __future__ import annotations

import copy
import logging
from abc import ABCMeta
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from toolkit.model.init_record import InitRecord, recording
from toolkit.model.initializers import initialize, is_pretrained
from toolkit.model.wrappers import is_model_wrapper
from toolkit.utils import ConfigError

logger = logging.getLogger(__name__)

InitCfg = Mapping[str, Any] | Iterable[Mapping[str, Any]] | None


class BaseModule(nn.Module, metaclass=ABCMeta):
    """A module that carries its own initialisation.

    Args:
        init_cfg: One initialiser config or a list of them, for instance
            ``dict(type='Kaiming', layer='Conv2d', override=dict(name='cls', type='Normal', std=0.01))``.
            It is copied, so modules that share a config don't share its state.
    """

    def __init__(self, init_cfg: InitCfg = None) -> None:
        super().__init__()
        self._is_init = False
        self.init_cfg = copy.deepcopy(init_cfg)

    @property
    def is_init(self) -> bool:
        """Whether `init_weights` has run on this module. Settable, to keep weights from being touched."""
        return self._is_init

    @is_init.setter
    def is_init(self, value: bool) -> None:
        self._is_init = value

    def init_weights(self) -> None:
        """Initialise this module and its children, once.

        The order decides who wins: this module's own initialisers run first, then those of its children (so
        that a config nearer to a layer beats one further away), and a `Pretrained` initialiser of this module
        last. A second call changes nothing. The outermost call writes to the log file what initialised each
        parameter.

        Raises:
            ConfigError: `init_cfg` is neither a dict nor a list of dicts, or names nothing that exists.
            CheckpointError: A `Pretrained` checkpoint can't be had.
        """
        if self._is_init:
            logger.warning("%s: init_weights was called a second time and did nothing", type(self).__name__)
            return
        cfgs = self._init_cfgs()
        with recording(self) as record:
            self._initialize([cfg for cfg in cfgs if not is_pretrained(cfg)], record)
            for child in self.children():
                wraps = is_model_wrapper(child) and not hasattr(child, "init_weights")
                target: Any = child.module if wraps else child
                if hasattr(target, "init_weights") and not getattr(target, "is_init", False):
                    target.init_weights()
                    record.note(target, f"by init_weights of {type(target).__name__}")
            self._initialize([cfg for cfg in cfgs if is_pretrained(cfg)], record)
        self._is_init = True

    def _initialize(self, cfgs: list[Mapping[str, Any]], record: InitRecord) -> None:
        for cfg in cfgs:
            initialize(self, cfg)
            arguments = ", ".join(f"{key}={value!r}" for key, value in cfg.items() if key != "type")
            kind = getattr(cfg["type"], "__name__", cfg["type"])
            record.note(self, f"by {kind}({arguments}) in the init_cfg of {type(self).__name__}")

    def _init_cfgs(self) -> list[Mapping[str, Any]]:
        if not self.init_cfg:
            return []
        cfgs = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else list(self.init_cfg)
        for cfg in cfgs:
            if not isinstance(cfg, Mapping) or "type" not in cfg:
                raise ConfigError(
                    f"init_cfg of {type(self).__name__} must be a dict with a 'type', or a list of such "
                    f"dicts; got {cfg!r}"
                )
        return cfgs

    def __repr__(self) -> str:
        text = super().__repr__()
        return f"{text}\ninit_cfg={self.init_cfg}" if self.init_cfg else text


class Sequential(BaseModule, nn.Sequential):
    """`torch.nn.Sequential` with an `init_cfg`, whose children take part in `init_weights`."""

    def __init__(self, *args: Any, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *args)


class ModuleList(BaseModule, nn.ModuleList):
    """`torch.nn.ModuleList` with an `init_cfg`, whose children take part in `init_weights`."""

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """`torch.nn.ModuleDict` with an `init_cfg`, whose children take part in `init_weights`."""

    def __init__(self, modules: Mapping[str, nn.Module] | None = None, init_cfg: InitCfg = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)
