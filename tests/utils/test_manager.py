from __future__ import annotations

import pytest

from toolkit.utils.manager import ManagerMixin


class One(ManagerMixin):
    def __init__(self, name: str, value: int = 0) -> None:
        super().__init__(name)
        self.value = value


class Two(ManagerMixin):
    pass


def test_instances_belong_to_their_class() -> None:
    one = One.get_instance("a", value=3)
    assert One.get_instance("a", value=4).value == 3
    assert Two.get_instance("a") is not one
    assert One.check_instance_created("a")
    assert not Two.check_instance_created("b")


def test_newest_is_current() -> None:
    One.get_instance("older")
    newest = One.get_instance("newer")
    One.get_instance("older")
    assert One.get_current_instance() is newest


def test_no_instance_yet() -> None:
    class Three(ManagerMixin):
        pass

    with pytest.raises(RuntimeError, match=r"Three\.get_instance"):
        Three.get_current_instance()


def test_missing_name() -> None:
    One.get_instance("train")
    with pytest.raises(KeyError, match="did you mean 'train'"):
        One.find_instance("trian")
    assert One.find_instance("train") is One.get_instance("train")


@pytest.mark.parametrize("name", ["", 3])
def test_bad_names(name: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        One.get_instance(name)
