# DAB-DETR (2022): queries are boxes, which each decoder layer refines.
_base_ = [
    '../_base_/models/detr_r50.py',
    '../_base_/datasets/coco_detection_detr.py',
    '../_base_/schedules/adamw_detr.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='DABDETR',
    num_queries=300,
    with_random_refpoints=False,
    num_patterns=0,
    encoder=dict(
        layer_cfg=dict(self_attn_cfg=dict(dropout=0.0), ffn_cfg=dict(ffn_drop=0.0, act_cfg=dict(type='PReLU')))),
    decoder=dict(
        query_dim=4,
        query_scale_type='cond_elewise',
        with_modulated_hw_attn=True,
        layer_cfg=dict(
            self_attn_cfg=dict(_delete_=True, embed_dims=256, num_heads=8, cross_attn=False),
            cross_attn_cfg=dict(_delete_=True, embed_dims=256, num_heads=8, cross_attn=True),
            ffn_cfg=dict(ffn_drop=0.0, act_cfg=dict(type='PReLU')))),
    positional_encoding=dict(temperature=20),
    bbox_head=dict(
        type='DABDETRHead',
        loss_cls=dict(
            _delete_=True, type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)),
    train_cfg=dict(
        assigner=dict(
            match_costs=[
                dict(type='FocalLossCost', weight=2.0, eps=1e-8),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ])),
    test_cfg=dict(max_per_img=300))
