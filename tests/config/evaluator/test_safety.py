"""What a hostile config may not do: reach Python, read files, hang, or fill the memory."""

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.config import Config
from toolkit.utils import ConfigError

TRUST = "--trust-config"

REACHES_OUT = [
    "import os\nx = os.system('true')",
    "from os import system\nx = system('true')",
    "import os\nx = os.environ['HOME']",
    "import os\nx = [y for y in os.environ]",
    "import os\nx = f'{os.path.join(1)}'",
    "x = __import__('os')",
    "x = open('/etc/passwd')",
    "x = eval('1')",
    "x = exec('1')",
    "x = compile('1', '', 'eval')",
    "x = getattr(dict, 'mro')",
    "x = globals()",
    "x = type(1)",
    "x = print(1)",
    "x = map(int, ['1'])",
    "x = iter([1])",
    "x = isinstance(1, int)",
    "x = ().__class__",
    "x = ().__class__.__bases__[0].__subclasses__()",
    "x = 'a'.__class__",
    "x = dict.fromkeys('ab')",
    "x = str.join",
    "x = str.join('a', ['b'])",
    "x = 'a'.join",
    "x = [].append",
    "x = (1).real",
    "x = 'a'.encode()",
    "x = 'a'.format_map({})",
    "x = 'a'.translate({})",
    "x = '{0.__class__}'.format(1)",
    "x = '{a.__init__.__globals__}'.format(a=1)",
    "x = '{0[0].__class__}'.format([1])",
    "x = '{0!r:{1.__class__}}'.format(1, 2)",
    "x = sorted([1], key='a'.find)",
    "x = max([1], key=lambda y: y)",
    "x = lambda: 1",
    "x = (y := 1)",
    "x = [y async for y in []]",
    "def f():\n    pass",
    "async def f():\n    pass",
    "class A:\n    pass",
    "while True:\n    pass",
    "try:\n    x = 1\nexcept Exception:\n    pass",
    "with open('x') as f:\n    pass",
    "raise ValueError",
    "assert False",
    "global x",
    "@print\ndef f():\n    pass",
    "match 1:\n    case 1:\n        x = 1",
    "from os import *",
    "from . import other",
    "x = {}\nx.y = 1",
    "for x.y in [1]:\n    pass",
    "x = [1 for y.z in [1]]",
]


@pytest.mark.parametrize("source", REACHES_OUT)
def test_reaching_out_is_refused_with_place_and_way_out(source: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.fromstring(source, ".py")
    message = str(caught.value)
    assert "<string>.py:" in message
    assert TRUST in message or "not defined" in message or "is no Python" in message, message
    assert "`" in message, "the construct is quoted"


BOMBS = [
    "x = 9 ** 9 ** 9",
    "x = 2 ** 100000",
    "x = 1 << 10 ** 10",
    "x = 10 ** 4000 * 10 ** 4000 * 10 ** 4000",
    "x = 'a' * 10 ** 10",
    "x = b'a' * 10 ** 10",
    "x = [0] * 10 ** 9",
    "x = (0,) * 10 ** 9",
    "x = [0] * 10 ** 6 * 10 ** 6",
    "x = list(range(10 ** 12))",
    "x = [y for y in range(10 ** 12)]",
    "x = {y for y in range(10 ** 12)}",
    "x = sum(range(10 ** 12))",
    "x = [*range(10 ** 12)]",
    "x = len(range(10 ** 30))",
    "x = max(range(10 ** 12))",
    "x = all(range(10 ** 12))",
    "x = sorted(range(10 ** 12))",
    "x, *y = range(10 ** 12)",
    "for x in range(10 ** 12):\n    pass",
    "x = [0]\nfor y in x:\n    x.append(y)",
    "x = [a for a in range(10000) for b in range(10000)]",
    "x = [[0] * 1000000 for a in range(1000)]",
    "x = ['a' * 1000000 for a in range(1000)]",
    "x = 'a'.center(10 ** 10)",
    "x = 'a'.ljust(10 ** 10)",
    "x = 'a'.zfill(10 ** 10)",
    "x = '\\t'.expandtabs(10 ** 10)",
    "x = ('a' * 10 ** 6).replace('a', 'b' * 10 ** 6)",
    "x = ('a' * 10 ** 6).join(['b'] * 10 ** 5)",
    "x = f'{1:>10000000000}'",
    "x = f'{1:.10000000000f}'",
    "w = 10 ** 10\nx = f'{1:>{w}}'",
    "x = '{:>10000000000}'.format(1)",
    "x = '{:>{}}'.format(1, 10 ** 10)",
    "x = ('{0}' * 10 ** 5).format('a' * 10 ** 6)",
    "x = '%10000000000d' % 1",
    "x = '%*d' % (10 ** 10, 1)",
    "x = '%.10000000000f' % 1.0",
    "x = ('%(a)s' * 10 ** 5) % dict(a='b' * 10 ** 6)",
    "x = round(5, -10 ** 10)",
    "x = int('9' * 10 ** 6)",
    "x = int('f' * 10 ** 6, 16)",
    "x = zip([1] * 10 ** 6, range(10 ** 12))",
    "x = []\nx.append(x)",
    "x = dict()\nx['y'] = x",
    "a = [0] * 9\n" + "\n".join(f"a = [a] * 9  # {n}" for n in range(12)) + "\nx = str(a)",
    "a = [0] * 9\n" + "\n".join(f"a = [a] * 9  # {n}" for n in range(12)) + "\nx = f'{a}'",
    "a = [0] * 9\n" + "\n".join(f"a = [a] * 9  # {n}" for n in range(12)),
    "a = [0]\nb = [0]\n" + "a, b = [a, a], [b, b]\n" * 40 + "x = a == b\na = b = 0",
    "a = (0,)\n" + "a = (a, a)\n" * 40 + "x = {a: 1}\na = 0",
    "a = (0,)\n" + "a = (a, a)\n" * 40 + "x = {a}\na = 0",
    "a = (0,)\n" + "a = (a, a)\n" * 40 + "x = {}\nx[a] = 1\na = 0",
    "a = (0,)\n" + "a = (a, a)\n" * 40 + "x = a in [a, 1]\na = 0",
    "x = " + "[" * 150 + "]" * 150,
    "x = " + "-" * 5000 + "1",
    "x = " + "1 + " * 50000 + "1",
]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Lets the process take 700 MB more than it has."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 700_000_000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, old)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit the memory")
@pytest.mark.parametrize("source", BOMBS, ids=[source[:40] for source in BOMBS])
def test_bombs_are_defused_quickly_and_in_little_memory(source: str, little_memory: None) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError, match=r"<string>\.py|nested|too large"):
        Config.fromstring(source, ".py")
    assert time.process_time() - started < 20


def test_yaml_bombs_are_defused() -> None:
    laughs = "a0: &a0 [x]\n" + "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    )
    with pytest.raises(ConfigError):
        Config.fromstring(laughs, ".yaml")
    merges = "b0: &b0 {x: 1}\n" + "\n".join(
        f"b{n}: &b{n}\n  <<: [*b{n - 1}, *b{n - 1}]" for n in range(1, 30)
    )
    with pytest.raises(ConfigError):
        Config.fromstring(merges, ".yaml")
    with pytest.raises(ConfigError):
        Config.fromstring("a: &a [*a]", ".yaml")


def test_yaml_tags_make_no_objects() -> None:
    with pytest.raises(ConfigError, match=r"<string>\.yaml:1"):
        Config.fromstring("a: !!python/object/apply:os.system ['true']", ".yaml")


def test_json_bombs_are_defused() -> None:
    with pytest.raises(ConfigError, match="nested"):
        Config.fromstring('{"a": ' + "[" * 500 + "]" * 500 + "}", ".json")


def test_environment_values_are_evaluated_as_data_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL", "__import__('os').system('true')")
    with pytest.raises(ConfigError):
        Config.fromstring("x = {{ $EVIL:1 }}", ".py")
    assert Config.fromstring("x = '{{ $EVIL:1 }}'", ".py").x == "__import__('os').system('true')"


def test_a_string_of_the_config_can_not_forge_a_template_word() -> None:
    """The words that stand for templates inside must not be writable by the file."""
    cfg = Config.fromstring("x = '__template0__'\ny = '{{ fileExtname }}'", ".py")
    assert cfg.x == "__template0__"
    assert cfg.y == ".py"
