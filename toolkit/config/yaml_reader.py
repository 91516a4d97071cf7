"""YAML configs, with the line of every value."""

from __future__ import annotations

import re
from typing import Any

import yaml

from toolkit.config.config_dict import TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator.failure import FileContext
from toolkit.config.evaluator.limits import MAX_DEPTH, Budget, Refused
from toolkit.config.origin import Origin
from toolkit.config.secrets import from_environment
from toolkit.config.templates import Bases, TemplateTable

_FLOAT = re.compile(
    r"""^(?:
     [-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)
    |[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_TUPLE_TAG = "tag:yaml.org,2002:python/tuple"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_SET_TAG = "tag:yaml.org,2002:set"
_TAGS = (
    _TUPLE_TAG,
    _SET_TAG,
    yaml.resolver.BaseResolver.DEFAULT_SEQUENCE_TAG,
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
)
_NODE_STEPS = 10  # a node of a YAML file takes about as long as ten of an expression
_FLOAT_TAG = "tag:yaml.org,2002:float"


def _with_floats(kind: Any) -> Any:
    """Give a loader or dumper the float syntax of YAML 1.2: PyYAML takes ``1e-3`` for a string."""
    kind.yaml_implicit_resolvers = {
        first: [(tag, regexp) for tag, regexp in resolvers if tag != _FLOAT_TAG]
        for first, resolvers in kind.yaml_implicit_resolvers.items()
    }
    kind.add_implicit_resolver(_FLOAT_TAG, _FLOAT, list("-+0123456789."))
    return kind


@_with_floats
class ConfigLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which reads ``1e-3`` as a float."""


@_with_floats
class ConfigDumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which quotes a string that would read as a float."""


class _Builder:
    """Builds config values from YAML nodes."""

    def __init__(self, loader: ConfigLoader, file: FileContext, bases: Bases, budget: Budget) -> None:
        self._loader = loader
        self._file = file
        self._bases = bases
        self._budget = budget

    def build(self, node: yaml.Node, depth: int = 0) -> Any:
        self._budget.step(_NODE_STEPS)
        if depth > MAX_DEPTH:
            raise Refused(f"the file is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _TAGS:
            raise yaml.constructor.ConstructorError(
                problem=f"the tag {node.tag!r} is not part of the config language",
                problem_mark=node.start_mark,
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            self._budget.items(len(node.value))
            items = [self.build(item, depth + 1) for item in node.value]
            if node.tag == _TUPLE_TAG:
                return tuple(items)
            return ConfigList(items, [self._origin(item) for item in node.value])
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> Any:
        self._budget.items(len(node.value))
        made, inherited = TracedDict(), TracedDict()
        for key_node, value_node in node.value:
            value = self.build(value_node, depth + 1)
            if key_node.tag == _MERGE_TAG:
                for mapping in reversed(value if isinstance(value, list) else [value]):
                    self._budget.items(len(mapping))
                    inherited.update(mapping)
                continue
            key = self.build(key_node, depth + 1)
            dict.__setitem__(made, key, value)
            made.__origins__[key] = self._origin(key_node, value_node)
        inherited.update(made)
        return set(inherited) if node.tag == _SET_TAG else inherited

    def _origin(self, node: yaml.Node, value: yaml.Node | None = None) -> Origin:
        text = value.value if isinstance(value, yaml.ScalarNode) else ""
        reads = self._bases.template_reads(text)
        return Origin(self._file.path, node.start_mark.line + 1, chain=self._file.chain, reads=reads)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        templates = self._file.templates
        if not templates.inside(node.value):
            return self._loader.construct_object(node, deep=True)
        alone = templates.alone(node.value)
        if alone is not None and alone.kind == "base":
            return self._bases.base_value(alone)
        if alone is not None and alone.kind == "env" and node.style is None:
            return from_environment(self._parse(templates.text_of(alone)), TemplateTable.reference(alone))
        return templates.fill(node.value, self._bases.base_value)

    def _parse(self, text: str) -> Any:
        return _convert(yaml.load(text, Loader=ConfigLoader))


def _convert(value: Any) -> Any:
    if isinstance(value, dict):
        return TracedDict({key: _convert(item) for key, item in value.items()})
    return ConfigList([_convert(item) for item in value]) if isinstance(value, list) else value


def read_yaml(file: FileContext, bases: Bases, budget: Budget) -> Any:
    """The value of a YAML file: dicts and lists that know their lines, and scalars.

    Raises:
        ConfigError: if it is no YAML, or takes too much work or memory.
    """
    loader = ConfigLoader(file.templates.text)
    try:
        node = loader.get_single_node()
        return None if node is None else _Builder(loader, file, bases, budget).build(node)
    except yaml.YAMLError as error:
        mark_ = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise file.at(None if mark_ is None else mark_.line + 1, f"this is no YAML: {problem}") from error
    except (Refused, RecursionError) as error:
        raise file.at(None, str(error) if isinstance(error, Refused) else "nested too deep") from error
    finally:
        loader.dispose()
