"""Dotted paths: only allowed packages, only the registry's kind."""

from __future__ import annotations

import pytest
import torch

from toolkit.registry import (
    FUNCTIONS,
    HOOKS,
    MODELS,
    OPTIMIZERS,
    TASK_UTILS,
    TRANSFORMS,
    allow_package,
    allowed,
)
from toolkit.utils import BuildError


def test_a_class_of_the_kind_is_found():
    assert MODELS.get("torch.nn.Linear") is torch.nn.Linear
    assert MODELS.get("torch.nn.modules.linear.Linear") is torch.nn.Linear
    assert OPTIMIZERS.get("torch.optim.AdamW") is torch.optim.AdamW
    assert FUNCTIONS.get("torch.utils.data.default_collate") is torch.utils.data.default_collate
    assert FUNCTIONS.get("toolkit.dataset.pseudo_collate") is FUNCTIONS.get("pseudo_collate")
    assert TRANSFORMS.get("toolkit.transforms.LoadImageFromFile") is TRANSFORMS.get("LoadImageFromFile")
    assert MODELS.get("torch.nn.NoSuchLayer") is None
    assert MODELS.get("torch.no_such_module.Layer") is None


@pytest.mark.parametrize(
    ("registry", "path"),
    [
        (MODELS, "torch.hub.load"),
        (MODELS, "torch.optim.SGD"),
        (MODELS, "torch.utils.data.DataLoader"),
        (OPTIMIZERS, "torch.nn.Linear"),
        (HOOKS, "torch.nn.Linear"),
        (FUNCTIONS, "torch.hub.load"),
        (FUNCTIONS, "torch.load"),
        (FUNCTIONS, "torch.utils.cpp_extension.load"),
        (FUNCTIONS, "torch.nn.Linear"),
        (TASK_UTILS, "torch.nn.Linear"),
        (TRANSFORMS, "torch.package.PackageImporter"),
        (TASK_UTILS, "toolkit.runner.Runner"),
        (TRANSFORMS, "toolkit.config.ConfigDict"),
        (FUNCTIONS, "toolkit.config.import_custom_modules"),
        (FUNCTIONS, "toolkit.registry.allow_package"),
    ],
)
def test_another_kind_is_refused(registry, path):
    with pytest.raises(BuildError, match="can't be used as"):
        registry.get(path)


@pytest.mark.parametrize(
    "path", ["os.system", "subprocess.Popen", "builtins.eval", "pickle.loads", "numpy.load"]
)
@pytest.mark.parametrize("registry", [MODELS, FUNCTIONS, TASK_UTILS])
def test_another_package_is_never_imported(registry, path):
    with pytest.raises(BuildError, match="may not import"):
        registry.get(path)


@pytest.mark.parametrize(
    "path",
    [
        "torch.utils.cpp_extension.subprocess.Popen",
        "torch.utils.cpp_extension.os.system",
        "torch.serialization.pickle.loads",
        "toolkit.registry.registry.importlib.import_module",
    ],
)
@pytest.mark.parametrize("registry", [MODELS, FUNCTIONS, TASK_UTILS])
def test_a_path_does_not_leave_its_package_through_a_module_that_it_imports(registry, path):
    try:
        found = registry.get(path)
    except BuildError:
        found = None
    assert found is None


def test_an_alien_class_that_a_module_of_ours_imports_is_refused():
    # `Counter` lies in the namespace of a torch module, but it is not torch's.
    reason = allowed.refusal(__import__("collections").Counter, None)
    assert reason is not None
    assert "outside the allowed packages" in reason


def test_a_package_can_be_allowed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(allowed, "_user_packages", set())
    folder = tmp_path / "package_of_this_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text(
        "import os\nfrom torch import nn\nclass Net(nn.Module): ...\nclass Bare: ...\ndef helper(): ...\n"
    )
    path = "package_of_this_test.nets"
    with pytest.raises(BuildError, match="--allow-package package_of_this_test"):
        MODELS.get(f"{path}.Net")
    allow_package(path)
    assert MODELS.get(f"{path}.Net").__name__ == "Net"
    assert TASK_UTILS.get(f"{path}.Bare").__name__ == "Bare"
    assert FUNCTIONS.get(f"{path}.helper").__name__ == "helper"
    with pytest.raises(BuildError, match="not a Module"):
        MODELS.get(f"{path}.Bare")
    with pytest.raises(BuildError, match="not a class"):
        MODELS.get(f"{path}.helper")
    assert MODELS.get(f"{path}.os.system") is None


def test_a_broken_module_shows_its_own_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(allowed, "_user_packages", {"broken_package_of_this_test"})
    folder = tmp_path / "broken_package_of_this_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text("import something_that_is_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_installed"):
        MODELS.get("broken_package_of_this_test.nets.Net")


def test_a_misspelt_scope_is_suggested():
    with pytest.raises(BuildError, match="did you mean 'mmdet'"):
        MODELS.get("mmdett.ResNet")
