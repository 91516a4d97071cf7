_base_ = [
    '../_base_/models/deformable-detr_r50.py',
    '../_base_/datasets/coco_detection_detr.py',
    '../_base_/schedules/adamw_detr.py',
    '../_base_/default_runtime.py',
]

# before a crop, images keep their size however long they are
train_pipeline = _base_.train_pipeline
train_pipeline[3]['transforms'][1][0]['scales'] = [(side, 4200) for side in (400, 500, 600)]
train_dataloader = dict(dataset=dict(filter_cfg=dict(filter_empty_gt=False), pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(lr=0.0002),
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.1),
            'sampling_offsets': dict(lr_mult=0.1),
            'reference_points': dict(lr_mult=0.1),
        }))

# 16 processes of 2 images
auto_scale_lr = dict(base_batch_size=32)
