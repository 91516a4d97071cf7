from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from toolkit.classification.models import (
    ClsDataPreprocessor,
    GlobalAveragePooling,
    LinearClsHead,
    ResNet_CIFAR,
)
from toolkit.classification.registry import MODELS
from toolkit.classification.structures import DataSample
from toolkit.registry import DefaultScope
from toolkit.utils.errors import BuildError, ConfigError, DataError

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def small(**changes):
    cfg = {
        "type": "ImageClassifier",
        "backbone": {"type": "ResNet_CIFAR", "depth": 18, "stem_channels": 8, "base_channels": 8},
        "neck": {"type": "GlobalAveragePooling"},
        "head": {
            "type": "LinearClsHead",
            "num_classes": 3,
            "in_channels": 64,
            "topk": (1, 2),
            "cal_acc": True,
        },
    }
    torch.manual_seed(0)
    model = MODELS.build({**cfg, **changes})
    model.init_weights()
    return model


def batch(n=4, size=16):
    torch.manual_seed(1)
    return {
        "inputs": [torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in range(n)],
        "data_samples": [DataSample().set_gt_label(i % 3) for i in range(n)],
    }


class TestClassifier:
    def test_modes(self):
        model = small()
        data = model.data_preprocessor(batch(), training=True)
        losses = model(**data, mode="loss")
        assert set(losses) == {"loss", "accuracy_top-1", "accuracy_top-2"}
        assert losses["loss"].item() == pytest.approx(1.0986, abs=0.2)  # log 3: a fresh head knows nothing
        assert model(data["inputs"]).shape == (4, 3)
        predictions = model(**data, mode="predict")
        assert predictions[1] is data["data_samples"][1]
        assert predictions[1].pred_score.sum().item() == pytest.approx(1)
        assert predictions[1].pred_label.tolist() == [predictions[1].pred_score.argmax().item()]
        assert model.predict(data["inputs"])[0].pred_label.shape == (1,)
        with pytest.raises(ValueError, match="'train'"):
            model(**data, mode="train")

    def test_features(self):
        model = small()
        images = torch.zeros(2, 3, 16, 16)
        assert [tuple(x.shape) for x in model.extract_feat(images, "backbone")] == [(2, 64, 2, 2)]
        assert [tuple(x.shape) for x in model.extract_feat(images)] == [(2, 64)]
        assert model.extract_feat(images, "pre_logits").shape == (2, 64)
        assert not small(neck=None, head=None).with_head
        with pytest.raises(ValueError, match="stem"):
            model.extract_feat(images, "stem")

    def test_learns_a_batch(self):
        model = small()
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(12):
            loss = model(**model.data_preprocessor(batch(), True), mode="loss")["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 0.1

    def test_keys_are_mmpretrains(self):
        keys = set(small().state_dict())
        assert {"backbone.conv1.weight", "backbone.layer4.1.bn2.running_var", "head.fc.weight"} <= keys
        assert {key.split(".")[0] for key in keys} == {"backbone", "head"}

    def test_resnet_is_torchvisions(self):
        """Weights of torchvision go into backbone and head, and give torchvision's scores."""
        reference = torchvision.models.resnet18(num_classes=7).eval()
        cfg = {
            "type": "mmpretrain.ImageClassifier",
            "backbone": {"type": "ResNet", "depth": 18},
            "neck": {"type": "GlobalAveragePooling"},
            "head": {"type": "LinearClsHead", "num_classes": 7, "in_channels": 512},
        }
        with DefaultScope.overwrite_default_scope("classification"):
            ours = MODELS.build(cfg).eval()
        weights = reference.state_dict()
        state = {
            ("head." if key.startswith("fc") else "backbone.") + key: value for key, value in weights.items()
        }
        ours.load_state_dict(state)
        images = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(ours(images), reference(images))

    def test_torchvision_backbone_by_name(self):
        model = small(
            backbone={"type": "TorchvisionBackbone", "model_name": "resnet18"},
            head={"type": "LinearClsHead", "num_classes": 3, "in_channels": 512},
        )
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)

    def test_samples_without_labels(self):
        model = small()
        data = model.data_preprocessor({"inputs": batch()["inputs"], "data_samples": [DataSample()] * 4})
        with pytest.raises(DataError, match="gt_label"):
            model(**data, mode="loss")

    def test_pretrained_or_init_cfg(self):
        with pytest.raises(BuildError, match="not both"):
            small(pretrained="x.pth", init_cfg={"type": "Normal"})


class TestParts:
    def test_cifar_stem(self):
        net = ResNet_CIFAR(18, stem_channels=8, base_channels=8, out_indices=(0, 1, 2, 3))
        assert [x.shape[-1] for x in net(torch.zeros(1, 3, 32, 32))] == [32, 16, 8, 4]
        assert net.conv1.kernel_size == (3, 3)
        net.train()
        assert net.norm1.training  # unlike detection's default
        with pytest.raises(BuildError, match="deep_stem"):
            ResNet_CIFAR(18, deep_stem=True)

    def test_pooling(self):
        x = torch.randn(2, 3, 4, 5)
        torch.testing.assert_close(GlobalAveragePooling()(x), x.mean((2, 3)))
        assert isinstance(GlobalAveragePooling()((x, x)), tuple)
        assert GlobalAveragePooling(1)(x[..., 0]).shape == (2, 3)
        assert GlobalAveragePooling(kernel_size=(2, 3), stride=1)(x).shape == (
            2,
            3 * (x.shape[2] - 1) * (x.shape[3] - 2),
        )
        with pytest.raises(BuildError, match="4"):
            GlobalAveragePooling(4)

    def test_head_takes_a_built_loss(self):
        assert isinstance(LinearClsHead(3, 4, loss=nn.CrossEntropyLoss()).loss_module, nn.CrossEntropyLoss)
        with pytest.raises(ValueError, match="num_classes"):
            LinearClsHead(0, 4)


class TestPreprocessor:
    def test_normalises_in_rgb(self):
        data = batch(2)
        out = ClsDataPreprocessor(mean=MEAN, std=STD, to_rgb=True)(dict(data))
        mean, std = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD))
        expected = (data["inputs"][1].flip(0).float() - mean) / std
        torch.testing.assert_close(out["inputs"][1], expected)
        assert isinstance(data["inputs"], list)  # the loader's batch is left as it was

    def test_forms_agree(self):
        preprocess = ClsDataPreprocessor(mean=MEAN, std=STD, to_rgb=True, pad_size_divisor=20)
        listed = preprocess(batch())["inputs"]
        stacked = preprocess({"inputs": torch.stack(batch()["inputs"])})["inputs"]
        torch.testing.assert_close(listed, stacked)
        assert listed.shape == (4, 3, 20, 20)
        mixed = [torch.zeros(3, 4, 6, dtype=torch.uint8), torch.zeros(3, 5, 3, dtype=torch.uint8)]
        assert preprocess({"inputs": mixed})["inputs"].shape == (2, 3, 20, 20)

    def test_onehot(self):
        out = ClsDataPreprocessor(to_onehot=True, num_classes=3)(batch())
        assert out["data_samples"][1].gt_score.tolist() == [0, 1, 0]
        with pytest.raises(DataError, match="num_classes=2"):
            ClsDataPreprocessor(to_onehot=True, num_classes=2)(batch())
        with pytest.raises(ConfigError, match="num_classes"):
            ClsDataPreprocessor(to_onehot=True)

    @pytest.mark.parametrize("kind", ["Mixup", "CutMix"])
    def test_batch_augments(self, kind):
        model = small(
            train_cfg={"augments": [{"type": kind, "alpha": 1.0}]},
            data_preprocessor={"num_classes": 3},
            head={"type": "LinearClsHead", "num_classes": 3, "in_channels": 64},
        )
        plain = model.data_preprocessor(batch(), training=False)
        assert "gt_score" not in plain["data_samples"][0]
        mixed = model.data_preprocessor(batch(), training=True)
        scores = torch.stack([sample.gt_score for sample in mixed["data_samples"]])
        torch.testing.assert_close(scores.sum(1), torch.ones(4))
        assert model(**mixed, mode="loss")["loss"].isfinite()
