# AdamW for detection transformers: the backbone learns ten times slower, gradients are kept short.
max_epochs = 50
step = 40  # the learning rate falls to a tenth after this epoch

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.0001, weight_decay=0.0001),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)}))
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[step], gamma=0.1),
]

# 8 processes of 2 images
auto_scale_lr = dict(base_batch_size=16, enable=False)
