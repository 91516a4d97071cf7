"""Files of predictions and of proposals, and the dataset that reads the latter."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from toolkit.detection.datasets.proposals import read_proposals
from toolkit.detection.evaluation import DumpDetResults, DumpProposals
from toolkit.detection.evaluation.mask_runs import encode_masks
from toolkit.utils import BuildError, DataError


def sample(name="a.jpg", count=3):
    scores = torch.tensor([0.2, 0.9, 0.5])[:count]
    boxes = torch.arange(4.0 * count).reshape(count, 4)
    predicted = {"bboxes": boxes, "scores": scores, "labels": torch.zeros(count)}
    return {"img_path": f"data/val/{name}", "img_id": 1, "pred_instances": predicted}


def test_results_hold_run_lengths_and_no_truth(tmp_path):
    masks = torch.zeros(3, 5, 4, dtype=torch.bool)
    masks[1, 1:3] = True
    one = sample()
    one["pred_instances"]["masks"] = masks
    one["gt_instances"] = one["ignored_instances"] = {"bboxes": 0}
    metric = DumpDetResults(str(tmp_path / "out.pkl"))
    metric.process(None, [one])
    assert metric.evaluate(1) == {}
    (written,) = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert written["pred_instances"]["masks"] == encode_masks(masks)
    assert "gt_instances" not in written
    assert "ignored_instances" not in written
    assert one["pred_instances"]["masks"] is masks


def test_proposals_are_written_best_first_and_read_again(tmp_path):
    metric = DumpProposals(str(tmp_path / "deep"), "p.pkl", num_max_proposals=2)
    metric.process(None, [sample(), sample("b.jpg", 0)])
    assert metric.evaluate(2) == {}
    found = read_proposals(str(tmp_path / "deep" / "p.pkl"))
    assert list(found) == ["val/a.jpg", "val/b.jpg"]
    assert found["val/a.jpg"]["scores"].tolist() == pytest.approx([0.9, 0.5])
    assert found["val/a.jpg"]["bboxes"].tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]
    assert found["val/b.jpg"]["bboxes"].shape == (0, 4)


def test_what_goes_wrong_is_said(tmp_path):
    with pytest.raises(BuildError, match=r"ends in .pkl"):
        DumpProposals(proposals_file="p.json")
    metric = DumpProposals(str(tmp_path))
    metric.process(None, [sample(), sample()])
    with pytest.raises(DataError, match="several images have the same folder and name"):
        metric.evaluate(2)


class Evil:
    def __reduce__(self):
        return (print, ("code of the file ran",))


@pytest.mark.parametrize("content", [Evil(), [1, 2], {"a": 3}])
def test_a_file_of_anything_else_is_refused_and_its_code_does_not_run(tmp_path, capsys, content):
    path = tmp_path / "p.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="holds no proposals"):
        read_proposals(str(path))
    assert not capsys.readouterr().out


def test_mmdetections_files_are_read(tmp_path, monkeypatch):
    """An InstanceData of MMEngine keeps its fields and their names as attributes."""
    import sys
    import types

    module = types.ModuleType("mmengine.structures.instance_data")
    kind = type("InstanceData", (), {"__module__": module.__name__, "__qualname__": "InstanceData"})
    module.InstanceData = kind
    for name in ("mmengine", "mmengine.structures"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    one = kind()
    one._metainfo_fields, one._data_fields = set(), {"bboxes", "scores"}
    one.bboxes, one.scores = np.ones((2, 4), np.float32), np.zeros(2, np.float32)
    (tmp_path / "p.pkl").write_bytes(pickle.dumps({"val/a.jpg": one}))
    found = read_proposals(str(tmp_path / "p.pkl"))
    assert found["val/a.jpg"]["bboxes"].tolist() == [[1] * 4] * 2
