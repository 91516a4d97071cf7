"""Where the weights are that configs call ``open-mmlab://NAME``."""

from __future__ import annotations

_THIRD_PARTY = "https://download.openmmlab.com/pretrain/third_party/"

_FILES = {
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

OPENMMLAB_URLS = {name: f"{_THIRD_PARTY}{file}.pth" for name, file in _FILES.items()}
OPENMMLAB_URLS["mmdet/mobilenet_v2"] = (
    "https://download.openmmlab.com/mmdetection/v2.0/third_party/mobilenet_v2_batch256_imagenet-ff34753d.pth"
)
