# A ResNet-18 of half the width on 5,000 images of CIFAR-10, in minutes on two CPU cores:
#     toolkit-train configs/cifar/resnet_cifar10-mini.py data_root=PATH/TO/cifar10-mini
_base_ = [
    '../_base_/models/resnet18_cifar.py', '../_base_/datasets/cifar10_mini.py',
    '../_base_/schedules/sgd_onecycle.py', '../_base_/default_runtime_cls.py'
]

model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    head=dict(
        in_channels=256,
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=10)))

env_cfg = dict(channels_last=True)
train_cfg = dict(val_interval=2)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=5, max_keep_ckpts=2, save_best='accuracy/top1', rule='greater'))
