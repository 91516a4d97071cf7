"""Which arguments a class takes, with `**kwargs` followed to the parents."""

from __future__ import annotations

import dataclasses
from collections import namedtuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.registry.arguments import accepted_by, argument_problems


class Base:
    def __init__(self, depth, width=1, *, style="a"): ...


class Follows(Base):
    def __init__(self, extra=0, **kwargs):
        super().__init__(**kwargs)


class Fixes(Base):
    def __init__(self, extra, **kwargs):
        super().__init__(3, style="b", **kwargs)


class ByPlace(Base):
    def __init__(self, first, *args, **kwargs):
        super().__init__(first, *args, **kwargs)


class Pops(Base):
    def __init__(self, **kwargs):
        self.mode = kwargs.pop("mode", None)
        super().__init__(depth=2, **kwargs)


class Keeps(Base):
    def __init__(self, **kwargs):
        super().__init__(1)
        self.settings = kwargs


class Ignores(Base):
    def __init__(self, **kwargs):
        super().__init__(1)


class NoInit(Follows): ...


class Mixin:
    def __init__(self, note="", **kwargs):
        super().__init__(**kwargs)


class Cooperative(Mixin, Base): ...


class Made:
    def __new__(cls, size, color="red"):
        return super().__new__(cls)


class Bare: ...


@dataclasses.dataclass
class Data:
    size: int
    name: str = ""


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("cls", "names", "required"),
    [
        (Base, ["depth", "width", "style"], ["depth"]),
        (Follows, ["extra", "depth", "width", "style"], ["depth"]),
        (Fixes, ["extra", "width"], ["extra"]),
        (ByPlace, ["first", "width", "style"], ["first"]),
        (Pops, ["mode", "width", "style"], []),
        (NoInit, ["extra", "depth", "width", "style"], ["depth"]),
        (Cooperative, ["note", "depth", "width", "style"], ["depth"]),
        (Made, ["size", "color"], ["size"]),
        (Bare, [], []),
        (Data, ["size", "name"], ["size"]),
        (Point, ["x", "y"], ["x", "y"]),
    ],
)
def test_closed_signatures(cls, names, required):
    accepted = accepted_by(cls)
    assert list(accepted.names) == names
    assert list(accepted.required) == required
    assert not accepted.is_open


@pytest.mark.parametrize("cls", [Keeps, dict])
def test_open_signatures(cls):
    assert accepted_by(cls).is_open
    assert argument_problems(cls, ["anything"]) == []


def test_kwargs_that_go_nowhere_take_nothing():
    # Python would swallow the name silently; that is exactly the typo nobody sees.
    assert argument_problems(Ignores, ["dpeth"]) != []


def test_a_torch_module_takes_no_keywords_of_its_own():
    class Net(torch.nn.Module):
        def __init__(self, a, **kwargs):
            super().__init__(**kwargs)

    assert argument_problems(Net, ["a"]) == []
    assert argument_problems(Net, ["a", "b"])[0][0] == "b"


@pytest.mark.parametrize(
    "cls", [torch.nn.Linear, torch.nn.Conv2d, torch.optim.SGD, torch.optim.AdamW, torch.utils.data.DataLoader]
)
def test_torch_signatures_are_read(cls):
    accepted = accepted_by(cls)
    assert accepted.names
    assert not accepted.is_open


def test_problems_name_the_nearest_and_count_one_mistake_once():
    assert argument_problems(Base, ["dpeth"]) == [("dpeth", "got 'dpeth'; did you mean 'depth'?")]
    assert argument_problems(Base, ["zzz"]) == [("zzz", "got 'zzz'"), ("depth", "needs 'depth'")]
    assert argument_problems(Base, []) == [("depth", "needs 'depth'")]
    assert argument_problems(Base, [], supplied=["depth"]) == []


def test_describe():
    assert accepted_by(Base).describe() == "depth (required), width, style"
    assert accepted_by(Bare).describe() == "no arguments"
    assert accepted_by(Keeps).describe() == "anything"


NAMES = ["a", "b", "c", "d", "e"]


@given(
    own=st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
    theirs=st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
    given_names=st.lists(st.sampled_from([*NAMES, "zz"]), unique=True, max_size=4),
)
@settings(deadline=None, max_examples=60)
def test_the_verdict_is_pythons(tmp_path_factory, own, theirs, given_names):
    """No problems are found exactly where the call works."""
    mine = "".join(f", {name}" for name in own)
    parents = "".join(f", {name}" for name in theirs)
    code = (
        f"class Parent:\n    def __init__(self{parents}): pass\n"
        f"class Child(Parent):\n    def __init__(self{mine}, **kwargs):\n        super().__init__(**kwargs)\n"
    )
    path = tmp_path_factory.mktemp("code") / "made.py"
    path.write_text(code)
    space: dict[str, object] = {"__name__": "made"}
    exec(compile(code, str(path), "exec"), space)
    child = space["Child"]
    try:
        child(**dict.fromkeys(given_names, 0))
        works = True
    except TypeError:
        works = False
    # A name that both have reaches the child only: the parent's stays without a value.
    if set(own) & set(theirs):
        return
    assert (argument_problems(child, given_names) == []) == works
