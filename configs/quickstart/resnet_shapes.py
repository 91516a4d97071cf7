# Tells circles, squares and triangles apart: half a minute of training on two CPU cores, on embedded data.
_base_ = [
    '../_base_/models/resnet18_cifar.py', '../_base_/datasets/shapes_classification.py',
    '../_base_/schedules/sgd_onecycle.py', '../_base_/default_runtime_cls.py'
]
max_epochs = 5
max_lr = 2e-3

model = dict(
    backbone=dict(stem_channels=16, base_channels=16, zero_init_residual=False),
    head=dict(num_classes=3, in_channels=128))

env_cfg = dict(channels_last=True)
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=max_lr, weight_decay=0.05))
param_scheduler = dict(eta_max=max_lr, end=max_epochs, total_steps=max_epochs)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=1, save_best='accuracy/top1', rule='greater'))
