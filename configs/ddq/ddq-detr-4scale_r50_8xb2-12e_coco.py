# DDQ-DETR (2023): DINO whose queries are proposals, told apart before each decoder layer.
_base_ = '../dino/dino-4scale_r50_8xb2-12e_coco.py'
model = dict(
    type='DDQDETR',
    dense_topk_ratio=1.5,  # dense queries, which only train, as a multiple of num_queries
    dqs_cfg=dict(type='nms', iou_threshold=0.8),
    bbox_head=dict(type='DDQDETRHead'))

optim_wrapper = dict(optimizer=dict(lr=0.0002, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.0001, by_epoch=False, begin=0, end=2000),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[11], gamma=0.1),
]
