# Fast R-CNN with a feature pyramid on ResNet-50, for 80 classes. Its proposals come with the data.
_base_ = './faster-rcnn_r50_fpn.py'
train_rcnn = _base_.model.train_cfg.rcnn
test_rcnn = _base_.model.test_cfg.rcnn
_base_.model.pop('rpn_head')
model = dict(
    type='FastRCNN',
    train_cfg=dict(_delete_=True, rcnn=train_rcnn),
    test_cfg=dict(_delete_=True, rcnn=test_rcnn))
