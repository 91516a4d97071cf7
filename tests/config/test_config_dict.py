"""ConfigDict: attribute access, missing keys, and origins that survive whatever happens to the dict."""

import copy
import pickle

import pytest

from toolkit.config import Config, ConfigDict, ConfigList, origin_of

TEXT = """model = dict(
    type='A',
    heads=[
        dict(type='B', n=1),
        dict(type='C', n=2),
    ])
"""


@pytest.fixture
def cfg() -> ConfigDict:
    return Config.fromstring(TEXT, ".py")._cfg_dict


def line(container: object, key: object) -> int | None:
    origin = origin_of(container, key)
    assert origin is not None
    return origin.line


def test_keys_are_attributes_at_every_depth() -> None:
    cfg = ConfigDict(model=dict(heads=[dict(n=1)], pair=(dict(a=1), 2)))
    assert cfg.model.heads[0].n == 1
    assert cfg.model.pair[0].a == 1
    cfg.model.neck = dict(out=3)
    assert cfg.model.neck.out == 3
    del cfg.model.neck
    assert "neck" not in cfg.model


def test_missing_key_names_the_nearest() -> None:
    cfg = ConfigDict(depth=50, width=1)
    with pytest.raises(KeyError, match="did you mean 'depth'"):
        _ = cfg["dpeth"]
    with pytest.raises(AttributeError, match="did you mean 'depth'"):
        _ = cfg.dpeth
    with pytest.raises(KeyError, match="did you mean 'depth'"):
        del cfg["dpeth"]
    with pytest.raises(KeyError, match="did you mean 'depth'"):
        cfg.pop("dpeth")
    assert "dpeth" not in cfg, "looking must not create the key, as addict does"


def test_hasattr_and_getattr_default_work() -> None:
    cfg = ConfigDict(a=1)
    assert hasattr(cfg, "a")
    assert not hasattr(cfg, "b")
    assert getattr(cfg, "b", 7) == 7
    assert cfg.get("b", 8) == 8
    assert cfg.pop("b", 9) == 9


def test_methods_can_not_be_overwritten_but_keys_of_their_name_can_be_set() -> None:
    cfg = ConfigDict()
    with pytest.raises(AttributeError, match="cfg\\['update'\\]"):
        cfg.update = 1
    cfg["update"] = 1
    assert cfg["update"] == 1


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        lambda cfg: cfg.copy(),
        lambda cfg: cfg.deepcopy(),
        lambda cfg: pickle.loads(pickle.dumps(cfg)),
        lambda cfg: ConfigDict(cfg),
        lambda cfg: ConfigDict() | cfg,
    ],
)
def test_copies_keep_values_types_and_origins(cfg: ConfigDict, duplicate: object) -> None:
    other = duplicate(cfg)  # type: ignore[operator]
    assert other == cfg
    assert type(other) is ConfigDict
    assert type(other.model.heads) is ConfigList
    assert line(other.model, "type") == 2
    assert line(other.model.heads, 1) == 5
    assert line(other.model.heads[0], "n") == 4


def test_deepcopy_is_independent(cfg: ConfigDict) -> None:
    other = copy.deepcopy(cfg)
    other.model.heads[0].n = 9
    other.model.heads.append(1)
    assert cfg.model.heads[0].n == 1
    assert len(cfg.model.heads) == 2


def test_a_set_value_is_known_to_come_from_code_and_to_replace(cfg: ConfigDict) -> None:
    cfg.model.type = "Z"
    origin = origin_of(cfg.model, "type")
    assert str(origin) == "set in code"
    assert origin is not None
    assert origin.over is not None
    assert origin.over.line == 2


def test_update_merges_nested_dicts_and_keeps_origins(cfg: ConfigDict) -> None:
    cfg.update(Config.fromstring("\n\nmodel = dict(depth=3)", ".py")._cfg_dict)
    assert cfg.model.depth == 3
    assert cfg.model.type == "A"
    assert line(cfg.model, "depth") == 3
    assert line(cfg.model, "type") == 2


def test_merge_obeys_delete(cfg: ConfigDict) -> None:
    cfg.merge(dict(model=dict(_delete_=True, a=1)))
    assert cfg == {"model": {"a": 1}}
    cfg.merge(dict(model=dict(a=dict(b=2))))
    assert cfg == {"model": {"a": {"b": 2}}}
    cfg.merge(dict(_delete_=True, c=1))
    assert cfg == {"c": 1}


def test_setdefault_popitem_clear() -> None:
    cfg = ConfigDict(a=1)
    assert cfg.setdefault("a", 2) == 1
    assert cfg.setdefault("b", dict(c=2)).c == 2
    assert cfg.popitem() == ("b", {"c": 2})
    assert origin_of(cfg, "b") is None
    cfg.clear()
    assert cfg == {}


def test_to_dict_is_plain_all_the_way(cfg: ConfigDict) -> None:
    plain = cfg.to_dict()
    assert type(plain["model"]) is dict
    assert type(plain["model"]["heads"]) is list
    assert type(plain["model"]["heads"][0]) is dict
