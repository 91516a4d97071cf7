# Hybrid Task Cascade without the semantic branch, which needs maps of classes (Chen et al., 2019).
_base_ = '../cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py'
model = dict(
    type='HybridTaskCascade',
    roi_head=dict(
        type='HybridTaskCascadeRoIHead',
        interleaved=True,
        mask_info_flow=True,
        mask_head=[
            dict(
                type='HTCMaskHead',
                with_conv_res=stage > 0,
                num_convs=4,
                in_channels=256,
                conv_out_channels=256,
                num_classes=80,
                loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0))
            for stage in range(3)
        ]),
    train_cfg=dict(
        rcnn={stage: dict(assigner=dict(match_low_quality=True)) for stage in range(3)}),
    test_cfg=dict(rcnn=dict(score_thr=0.001)))
