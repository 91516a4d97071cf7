# Faster R-CNN as torchvision's `fasterrcnn_resnet50_fpn` computes it, for its weights:
#   toolkit convert torchvision://fasterrcnn_resnet50_fpn fasterrcnn.pth
#   toolkit test configs/torchvision/faster-rcnn_r50_fpn_coco.py fasterrcnn.pth
# Of your own data's classes: num_classes, and `--labels all` (or your labels' numbers) for convert.
_base_ = [
    '../_base_/models/faster-rcnn_r50_fpn_torchvision.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
