"""The hooks of a run: their order, and who is called at which point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.hooks import Hook
from toolkit.hooks.priority import Priority, get_priority
from toolkit.registry import HOOKS
from toolkit.utils.errors import BuildError

HookLike = Hook | Mapping[str, Any]

DEFAULT_HOOKS: dict[str, dict[str, Any]] = {
    "runtime_info": {"type": "RuntimeInfoHook"},
    "timer": {"type": "IterTimerHook"},
    "sampler_seed": {"type": "DistSamplerSeedHook"},
    "logger": {"type": "LoggerHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "CheckpointHook", "interval": 1},
}
_NOTHING: tuple[Callable[..., Any], ...] = ()


class HookManager:
    """Keeps hooks sorted by priority, and binds for each point the methods that do something there."""

    def __init__(self) -> None:
        self.hooks: list[Hook] = []
        self._bound: dict[str, tuple[Callable[..., Any], ...]] = {}

    def register(self, hook: HookLike, priority: int | str | Priority | None = None) -> None:
        """Add a hook behind those of its own and of smaller priority numbers.

        Args:
            hook: A `Hook`, or its config, where the key ``priority`` may stand too.
            priority: Overrides the one of the hook.

        Raises:
            BuildError: `hook` is neither, or its ``priority`` is given twice.
        """
        if isinstance(hook, Mapping):
            args = dict(hook)
            named = args.pop("priority", None)
            if named is not None and priority is not None and named != priority:
                raise BuildError(
                    f"{hook.get('type')} got two priorities: {named!r} in its config, and {priority!r}"
                )
            priority = named if named is not None else priority
            hook = HOOKS.build(args)
        if not isinstance(hook, Hook):
            raise BuildError(
                f"a hook must be a toolkit.hooks.Hook or a dict, got {type(hook).__name__}: {hook!r}"
            )
        if priority is not None:
            hook.priority = priority
        rank = get_priority(hook.priority)
        place = len(self.hooks)
        while place and get_priority(self.hooks[place - 1].priority) > rank:
            place -= 1
        self.hooks.insert(place, hook)
        self._bound.clear()

    def register_defaults(self, hooks: Mapping[str, HookLike | None] | None = None) -> None:
        """Add the default hooks; `hooks` changes some by name, adds others, and drops those that are None."""
        chosen: dict[str, HookLike | None] = {name: dict(cfg) for name, cfg in DEFAULT_HOOKS.items()}
        for name, hook in (hooks or {}).items():
            if isinstance(hook, Mapping) and "type" not in hook and name in DEFAULT_HOOKS:
                hook = {**DEFAULT_HOOKS[name], **hook}
            chosen[name] = hook
        for hook in chosen.values():
            if hook is not None:
                self.register(hook)

    def callbacks(self, point: str) -> tuple[Callable[..., Any], ...]:
        """The bound methods to call at a point, in order: those of hooks that do something there."""
        found = self._bound.get(point)
        if found is None:
            found = tuple(getattr(hook, point) for hook in self.hooks if _acts(hook, point)) or _NOTHING
            self._bound[point] = found
        return found

    def describe(self) -> str:
        """A table of the points and the hooks called there, in order."""
        lines: list[str] = []
        for point in Hook.stages:
            acting = [hook for hook in self.hooks if _acts(hook, point)]
            if acting:
                lines.append(f"{point}:")
                lines += [f"({_level(hook.priority):<12}) {type(hook).__name__:<35}" for hook in acting]
                lines.append(" " + "-" * 20 + " ")
        return "\n".join(lines)

    def state_dict(self) -> dict[str, Any]:
        """The state of every hook that has one, by its key."""
        states = {key: hook.state_dict() for key, hook in self._keyed()}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, states: Mapping[str, Any]) -> list[str]:
        """Hand the states back; returns the keys for which there is no hook now."""
        keyed = dict(self._keyed())
        for key, state in states.items():
            if key in keyed:
                keyed[key].load_state_dict(state)
        return [key for key in states if key not in keyed]

    def _keyed(self) -> list[tuple[str, Hook]]:
        """Hooks by class name; further ones of a class get ``#1``, ``#2``, … in the order of registration."""
        seen: dict[str, int] = {}
        keyed: list[tuple[str, Hook]] = []
        for hook in self.hooks:
            name = type(hook).__name__
            count = seen.get(name, 0)
            keyed.append((f"{name}#{count}" if count else name, hook))
            seen[name] = count + 1
        return keyed


def build_hooks(
    default_hooks: Mapping[str, HookLike | None] | None, custom_hooks: Sequence[HookLike] | None
) -> HookManager:
    """A manager with the default hooks and then the custom ones."""
    manager = HookManager()
    manager.register_defaults(default_hooks)
    for hook in custom_hooks or ():
        manager.register(hook)
    return manager


def _acts(hook: Hook, point: str) -> bool:
    """Whether calling the hook's method of that name would do anything."""
    if point in vars(hook):
        return True
    if point in Hook.stages:
        return point in hook.get_triggered_stages()
    return hasattr(hook, point)


def _level(priority: int | str | Priority) -> str:
    """The name of a priority, or its number where it lies between the named ones."""
    number = get_priority(priority)
    names = {level.value: level.name for level in Priority}
    return names.get(number, str(number))
