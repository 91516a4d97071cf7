_base_ = [
    '../_base_/models/dino-4scale_r50.py',
    '../_base_/datasets/coco_detection_detr.py',
    '../_base_/schedules/adamw_detr.py',
    '../_base_/default_runtime.py',
]

# before a crop, images keep their size however long they are
train_pipeline = _base_.train_pipeline
train_pipeline[3]['transforms'][1][0]['scales'] = [(side, 4200) for side in (400, 500, 600)]
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False), pipeline=train_pipeline))

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[11], gamma=0.1),
]
