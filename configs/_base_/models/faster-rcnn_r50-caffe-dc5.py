# Faster R-CNN on the dilated fifth stage ("DC5") of ResNet-50, for 80 classes.
_base_ = './faster-rcnn_r50-caffe-c4.py'
_base_.model.roi_head.pop('shared_head')
_base_.model.roi_head.bbox_head.pop('with_avg_pool')
model = dict(
    backbone=dict(
        num_stages=4, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), out_indices=(3, )),
    rpn_head=dict(in_channels=2048, feat_channels=2048),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(output_size=7), out_channels=2048),
        bbox_head=dict(type='Shared2FCBBoxHead', fc_out_channels=1024)),
    train_cfg=dict(rpn=dict(allowed_border=0)))
