# Faster R-CNN as torchvision's `fasterrcnn_resnet50_fpn` computes it: its anchors, its RoIAlign, its losses.
_base_ = './faster-rcnn_r50_fpn.py'
model = dict(
    rpn_head=dict(
        anchor_generator=dict(
            _delete_=True,
            type='TorchvisionAnchorGenerator',
            strides=[4, 8, 16, 32, 64],
            sizes=[[32], [64], [128], [256], [512]],
            ratios=[0.5, 1.0, 2.0]),
        loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=1 / 9)),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=2, aligned=False)),
        bbox_head=dict(loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=1 / 9))),
    train_cfg=dict(rpn_proposal=dict(nms_pre=2000, max_per_img=2000)))
