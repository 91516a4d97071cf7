# RetinaNet as torchvision's `retinanet_resnet50_fpn_v2` computes it, for its weights:
#   toolkit convert torchvision://retinanet_resnet50_fpn_v2 retinanet.pth
_base_ = './retinanet_r50_fpn_coco.py'
model = dict(
    neck=dict(add_extra_convs='on_input'),
    bbox_head=dict(
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
        reg_decoded_bbox=True,
        loss_bbox=dict(_delete_=True, type='GIoULoss', loss_weight=1.0)))
