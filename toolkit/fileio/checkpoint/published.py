"""Where the weights are that configs call ``torchvision://NAME``, ``open-mmlab://NAME`` and ``mmcls://NAME``."""

from __future__ import annotations

_ROOT = "https://download.openmmlab.com/"

_THIRD_PARTY = {
    "bninception_caffe": "bn_inception_caffe-ed2e8665",
    "contrib/mobilenet_v3_large": "mobilenet_v3_large-bc2c3fd3",
    "contrib/mobilenet_v3_small": "mobilenet_v3_small-47085aa1",
    "contrib/resnet50_gn": "resnet50_gn_thangvubk-ad1730dd",
    "darknet53": "darknet53-a628ea1b",
    "detectron/resnet101_caffe": "resnet101_caffe-3ad79236",
    "detectron/resnet101_gn": "resnet101_gn-cac0ab98",
    "detectron/resnet50_caffe": "resnet50_caffe-788b5fa3",
    "detectron/resnet50_gn": "resnet50_gn-9186a21c",
    "detectron2/resnet101_caffe": "resnet101_msra-6cc46731",
    "detectron2/resnet50_caffe": "resnet50_msra-5891d200",
    "detectron2/resnext101_32x8d": "resnext101_32x8d-1516f1aa",
    "jhu/resnet101_gn_ws": "resnet101_gn_ws-3e3c308c",
    "jhu/resnet50_gn_ws": "resnet50_gn_ws-15beedd8",
    "jhu/resnext101_32x4d_gn": "resnext101_32x4d_gn-ac3bb84e",
    "jhu/resnext101_32x4d_gn_ws": "resnext101_32x4d_gn_ws-34ac1a9e",
    "jhu/resnext50_32x4d_gn": "resnext50_32x4d_gn-c7e8b754",
    "jhu/resnext50_32x4d_gn_ws": "resnext50_32x4d_gn_ws-0d87ac85",
    "kin400/i3d_r50_f32s2_k400": "i3d_r50_f32s2_k400-2c57e077",
    "kin400/nl3d_r50_f32s2_k400": "nl3d_r50_f32s2_k400-fa7e7caa",
    "msra/hrnetv2_w18": "hrnetv2_w18-00eb2006",
    "msra/hrnetv2_w18_small": "hrnetv2_w18_small-b5a04e21",
    "msra/hrnetv2_w32": "hrnetv2_w32-dc9eeb4f",
    "msra/hrnetv2_w40": "hrnetv2_w40-ed0b031c",
    "msra/hrnetv2_w48": "hrnetv2_w48-d2186c55",
    "regnetx_1.6gf": "regnetx_1.6gf-5791c176",
    "regnetx_12gf": "regnetx_12gf-4c2a3350",
    "regnetx_3.2gf": "regnetx_3.2gf-c2599b0f",
    "regnetx_4.0gf": "regnetx_4.0gf-a88f671e",
    "regnetx_400mf": "regnetx_400mf-a5b10d96",
    "regnetx_6.4gf": "regnetx_6.4gf-006af45d",
    "regnetx_800mf": "regnetx_800mf-1f4be4c7",
    "regnetx_8.0gf": "regnetx_8.0gf-3c68abe7",
    "res2net101_v1d_26w_4s": "res2net101_v1d_26w_4s_mmdetv2-f0a600f9",
    "resnest101": "resnest101_d2-f3b931b2",
    "resnest200": "resnest200_d2-ca88e41f",
    "resnest50": "resnest50_d2-7497a55b",
    "resnet101_v1c": "resnet101_v1c-e67eebb6",
    "resnet18_v1c": "resnet18_v1c-b5776b93",
    "resnet50_v1c": "resnet50_v1c-2cccc1ad",
    "resnext101_32x4d": "resnext101_32x4d-a5af3160",
    "resnext101_64x4d": "resnext101_64x4d-ee2c6f71",
    "resnext50_32x4d": "resnext50-32x4d-0ab1a123",
    "vgg16_caffe": "vgg16_caffe-292e1171",
}

_MMCLS = {
    "mobilenet_v2": "mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af",
    "mobilenet_v3_large": "mobilenet_v3/convert/mobilenet_v3_large-3ea3c186",
    "mobilenet_v3_small": "mobilenet_v3/convert/mobilenet_v3_small-8427ecf0",
    "repvgg_A0": "repvgg/repvgg-A0_3rdparty_4xb64-coslr-120e_in1k_20210909-883ab98c",
    "repvgg_A1": "repvgg/repvgg-A1_3rdparty_4xb64-coslr-120e_in1k_20210909-24003a24",
    "repvgg_A2": "repvgg/repvgg-A2_3rdparty_4xb64-coslr-120e_in1k_20210909-97d7695a",
    "repvgg_B0": "repvgg/repvgg-B0_3rdparty_4xb64-coslr-120e_in1k_20210909-446375f4",
    "repvgg_B1": "repvgg/repvgg-B1_3rdparty_4xb64-coslr-120e_in1k_20210909-750cdf67",
    "repvgg_B1g2": "repvgg/repvgg-B1g2_3rdparty_4xb64-coslr-120e_in1k_20210909-344f6422",
    "repvgg_B1g4": "repvgg/repvgg-B1g4_3rdparty_4xb64-coslr-120e_in1k_20210909-d4c1a642",
    "repvgg_B2": "repvgg/repvgg-B2_3rdparty_4xb64-coslr-120e_in1k_20210909-bd6b937c",
    "repvgg_B2g4": "repvgg/repvgg-B2g4_3rdparty_4xb64-autoaug-lbs-mixup-coslr-200e_in1k_20210909-7b7955f0",
    "repvgg_B3": "repvgg/repvgg-B3_3rdparty_4xb64-autoaug-lbs-mixup-coslr-200e_in1k_20210909-dda968bf",
    "repvgg_B3g4": "repvgg/repvgg-B3g4_3rdparty_4xb64-autoaug-lbs-mixup-coslr-200e_in1k_20210909-4e54846a",
    "repvgg_D2se": "repvgg/repvgg-D2se_3rdparty_4xb64-autoaug-lbs-mixup-coslr-200e_in1k_20210909-cf3139b7",
    "res2net101_w26": "res2net/res2net101-w26-s4_3rdparty_8xb32_in1k_20210927-870b6c36",
    "res2net50_w14": "res2net/res2net50-w14-s8_3rdparty_8xb32_in1k_20210927-bc967bf1",
    "res2net50_w26": "res2net/res2net50-w26-s8_3rdparty_8xb32_in1k_20210927-f547a94b",
    "resnest101": "resnest/resnest101_imagenet_converted-032caa52",
    "resnest200": "resnest/resnest200_imagenet_converted-581a60f2",
    "resnest269": "resnest/resnest269_imagenet_converted-59930960",
    "resnest50": "resnest/resnest50_imagenet_converted-1ebf0afe",
    "resnet101": "resnet/resnet101_8xb32_in1k_20210831-539c63f8",
    "resnet101_v1d": "resnet/resnetv1d101_b32x8_imagenet_20210531-6e13bcd3",
    "resnet152": "resnet/resnet152_8xb32_in1k_20210901-4d7582fa",
    "resnet152_v1d": "resnet/resnetv1d152_b32x8_imagenet_20210531-278cf22a",
    "resnet18": "resnet/resnet18_8xb32_in1k_20210831-fbbb1da6",
    "resnet34": "resnet/resnet34_8xb32_in1k_20210831-f257d4e6",
    "resnet50": "resnet/resnet50_8xb32_in1k_20210831-ea4938fc",
    "resnet50_v1d": "resnet/resnetv1d50_b32x8_imagenet_20210531-db14775a",
    "resnext101_32x4d": "resnext/resnext101_32x4d_b32x8_imagenet_20210506-e0fa3dd5",
    "resnext101_32x8d": "resnext/resnext101_32x8d_b32x8_imagenet_20210506-23a247d5",
    "resnext152_32x4d": "resnext/resnext152_32x4d_b32x8_imagenet_20210524-927787be",
    "resnext50_32x4d": "resnext/resnext50_32x4d_b32x8_imagenet_20210429-56066e27",
    "se-resnet101": "se-resnet/se-resnet101_batch256_imagenet_20200804-ba5b51d4",
    "se-resnet50": "se-resnet/se-resnet50_batch256_imagenet_20200804-ae206104",
    "shufflenet_v1": "shufflenet_v1/shufflenet_v1_batch1024_imagenet_20200804-5d6cec73",
    "shufflenet_v2": "shufflenet_v2/shufflenet_v2_batch1024_imagenet_20200812-5bf4721e",
    "swin_base": "swin-transformer/convert/swin_base_patch4_window7_224_22kto1k-f967f799",
    "swin_large": "swin-transformer/convert/swin_large_patch4_window7_224_22kto1k-5f0996db",
    "swin_small": "swin-transformer/swin_small_224_b16x64_300e_imagenet_20210615_110219-7f9d988b",
    "swin_tiny": "swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6",
    "t2t_vit_t_14": "t2t-vit/t2t-vit-t-14_3rdparty_8xb64_in1k_20210928-b7c09b62",
    "t2t_vit_t_19": "t2t-vit/t2t-vit-t-19_3rdparty_8xb64_in1k_20210928-7f1478d5",
    "t2t_vit_t_24": "t2t-vit/t2t-vit-t-24_3rdparty_8xb64_in1k_20210928-fe95a61b",
    "tnt_small": "tnt/tnt-small-p16_3rdparty_in1k_20210903-c56ee7df",
    "vgg11": "vgg/vgg11_batch256_imagenet_20210208-4271cd6c",
    "vgg11_bn": "vgg/vgg11_bn_batch256_imagenet_20210207-f244902c",
    "vgg13": "vgg/vgg13_batch256_imagenet_20210208-4d1d6080",
    "vgg13_bn": "vgg/vgg13_bn_batch256_imagenet_20210207-1a8b7864",
    "vgg16": "vgg/vgg16_batch256_imagenet_20210208-db26f1a5",
    "vgg16_bn": "vgg/vgg16_bn_batch256_imagenet_20210208-7e55cd29",
    "vgg19": "vgg/vgg19_batch256_imagenet_20210208-e6920e4a",
    "vgg19_bn": "vgg/vgg19_bn_batch256_imagenet_20210208-da620c4f",
    "vit_base_p16": "vit/finetune/vit-base-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-98e8652b",
    "vit_base_p32": "vit/finetune/vit-base-p32_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-9cea8599",
    "vit_large_p16": "vit/finetune/vit-large-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-b20ba619",
}

_OPENMMLAB = {
    **{name: f"{_ROOT}pretrain/third_party/{file}.pth" for name, file in _THIRD_PARTY.items()},
    "mmdet/mobilenet_v2": f"{_ROOT}mmdetection/v2.0/third_party/mobilenet_v2_batch256_imagenet-ff34753d.pth",
    "mmedit/mobilenet_v2": f"{_ROOT}mmediting/third_party/mobilenet_v2.pth",
    "mmedit/res34_en_nomixup": f"{_ROOT}mmediting/third_party/model_best_resnet34_En_nomixup.pth",
    "mmedit/vgg16": f"{_ROOT}mmediting/third_party/vgg_state_dict.pth",
}

# Former names of MMCV's, and what stands there now.
_DEPRECATED = {
    "resnet101_caffe": "detectron/resnet101_caffe",
    "resnet101_caffe_bgr": "detectron2/resnet101_caffe",
    "resnet50_caffe": "detectron/resnet50_caffe",
    "resnet50_caffe_bgr": "detectron2/resnet50_caffe",
}

# Former names of torchvision's.
_OF_TORCHVISION = {
    "inception_v3_google": "inception_v3",
    "shufflenetv2_x0.5": "shufflenet_v2_x0_5",
    "shufflenetv2_x1.0": "shufflenet_v2_x1_0",
    "shufflenetv2_x1.5": "shufflenet_v2_x1_5",
    "shufflenetv2_x2.0": "shufflenet_v2_x2_0",
}


def get_external_models() -> dict[str, str]:
    """Addresses of the weights called ``open-mmlab://NAME``, by name."""
    return dict(_OPENMMLAB)


def get_mmcls_models() -> dict[str, str]:
    """Addresses of MMClassification's checkpoints called ``mmcls://NAME``, by name."""
    return {name: f"{_ROOT}mmclassification/v0/{file}.pth" for name, file in _MMCLS.items()}


def get_deprecated_model_names() -> dict[str, str]:
    """Former names of `get_external_models`, and the present ones."""
    return dict(_DEPRECATED)


def get_torchvision_models() -> dict[str, str]:
    """Addresses of the weights that the installed torchvision publishes, by ``model`` and ``model.version``.

    A version is written small, such as ``resnet50.imagenet1k_v2``. The model's name alone means the first
    version: what it has always meant in configs, and what published numbers rest on.
    """
    from torchvision import models

    found: dict[str, str] = {}
    for model in models.list_models():
        versions = models.get_model_weights(model).__members__
        for version, weights in versions.items():
            found.setdefault(model, str(weights.url))
            found[f"{model}.{version.lower()}"] = str(weights.url)
    return {**found, **{old: found[new] for old, new in _OF_TORCHVISION.items() if new in found}}
