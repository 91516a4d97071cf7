# FCOS as torchvision's `fcos_resnet50_fpn` computes it, for its weights:
#   toolkit convert torchvision://fcos_resnet50_fpn fcos.pth
_base_ = ['./retinanet_r50_fpn_coco.py']
model = dict(
    type='FCOS',
    bbox_head=dict(
        _delete_=True,
        type='TorchvisionFCOSHead',
        num_classes=80,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        conv_bias=True,
        center_sampling=True,
        norm_on_bbox=True,
        centerness_on_reg=True,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    train_cfg=None,
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=-1,  # torchvision keeps boxes that were clipped to nothing
        score_thr=0.2,
        nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=100))
