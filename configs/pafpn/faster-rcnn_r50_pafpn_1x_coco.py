# A path from the finest to the coarsest map behind the pyramid (Liu et al., 2018).
_base_ = '../faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
model = dict(neck=dict(type='PAFPN'))
