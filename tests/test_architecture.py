"""The house rules that a machine can hold: layers, circles, and sizes of files and functions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "toolkit"
MAX_FILE_LINES = 400
MAX_BODY_LINES = 50

# A package may import those of lower layers, and itself. `runner` and `hooks` share a layer:
# a runner calls hooks, a hook knows no runner.
LAYERS = {
    "version": 0,
    "utils": 0,
    "dist": 0,
    "fileio": 0,
    "device": 0,
    "config": 1,
    "registry": 1,
    "structures": 1,
    "logging": 2,
    "visualization": 2,
    "evaluator": 2,
    "analysis": 2,
    "transforms": 2,
    "dataset": 2,
    "optim": 2,
    "model": 2,
    "hooks": 3,
    "runner": 3,
    "classification": 4,
    "detection": 4,
    "infer": 5,
    "hub": 5,
    "testing": 5,
    "cli": 6,
}
SAME_LAYER_ALLOWED = {
    ("dist", "utils"),
    ("fileio", "dist"),
    ("fileio", "utils"),
    ("utils", "version"),
    ("registry", "config"),
    ("runner", "hooks"),
}

FILES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*FILES, *sorted((ROOT / "tools").rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(path: Path, *, everywhere: bool) -> set[str]:
    """Modules of ours that a file imports; only those that run on import unless `everywhere`."""
    found: set[str] = set()

    def take(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
        else:
            for child in ast.iter_child_nodes(node):
                skipped = isinstance(child, ast.stmt) and is_type_checking(child)
                inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                if not skipped and (everywhere or not inner):
                    take(child)

    take(ast.parse(path.read_text()))
    return {name for name in found if name == "toolkit" or name.startswith("toolkit.")}


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = package_of(module_name(path))
    if not here:
        return
    for module in imports_of(path, everywhere=True):
        there = package_of(module)
        if there in ("", here) or (here, there) in SAME_LAYER_ALLOWED:
            continue
        assert LAYERS[there] < LAYERS[here], f"{path.relative_to(ROOT)} ({here}) must not import {module}"


def test_no_import_circles() -> None:
    graph = {name: imports_of(path, everywhere=False) & set(MODULES) for name, path in MODULES.items()}
    state: dict[str, str] = {}

    def visit(name: str, trail: list[str]) -> None:
        if state.get(name) == "done":
            return
        assert state.get(name) != "open", " -> ".join([*trail[trail.index(name) :], name])
        state[name] = "open"
        for target in sorted(graph[name] - {name}):
            # A package's face imports its modules; a module that imports its own face is caught,
            # one that a face imports by name is not a circle.
            visit(target, [*trail, name])
        state[name] = "done"

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES, f"{path.relative_to(ROOT)} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= MAX_BODY_LINES, (
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length}"
            )


def test_every_package_has_a_layer() -> None:
    names = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert names <= set(LAYERS), f"add {names - set(LAYERS)} to LAYERS"
