"""A detector trained and tested on two named sets through the command line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

from click.testing import CliRunner

from toolkit.cli import main

SETS = """
val_dataloader = dict(clean=val_dataloader, noisy=dict(val_dataloader, batch_size=1))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='noisy/pascal_voc/mAP', rule='greater'),
                     visualization=dict(type='DetVisualizationHook'))
"""


def test_train_test_and_infer(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + SETS)
    trained = CliRunner().invoke(main, ["train", str(config)], catch_exceptions=False)
    assert trained.exit_code == 0, trained.output
    work = tmp_path / "work"
    (best,) = work.glob("best_noisy_pascal_voc_mAP*.pth")
    arguments = [
        "test",
        str(config),
        str(best),
        "--out",
        str(tmp_path / "found.pkl"),
        "--show-dir",
        "pictures",
    ]
    tested = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert tested.exit_code == 0, tested.output
    assert {path.name for path in work.glob("*/pictures/*")} == {"clean", "noisy"}
    (numbers,) = (json.loads(path.read_text()) for path in work.glob("2*/2*.json"))
    assert numbers["clean/pascal_voc/mAP"] == numbers["noisy/pascal_voc/mAP"]
    for name in ("clean", "noisy"):
        with (tmp_path / f"found_{name}.pkl").open("rb") as file:
            assert len(pickle.load(file)) == 4
    picture = tmp_path / "data/JPEGImages/picture_0.jpg"
    inferred = CliRunner().invoke(
        main, ["infer", str(best), str(picture), "--out-dir", str(tmp_path / "out")], catch_exceptions=False
    )
    assert inferred.exit_code == 0, inferred.output


def test_names_that_differ_are_told(config: Path) -> None:
    config.write_text(config.read_text() + SETS + "val_evaluator = dict(clean=val_evaluator)\n")
    result = CliRunner().invoke(main, ["train", str(config)])
    assert result.exit_code == 1
    assert "val_evaluator lacks 'noisy'" in result.output
