# Objects365 version 2: boxes of 365 classes, images in folders patch0 to patch50.
_base_ = 'objects365v1_detection.py'
dataset_type = 'Objects365V2Dataset'
data_root = 'data/Objects365/Obj365_v2/'

train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/zhiyuan_objv2_train.json'))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/zhiyuan_objv2_val.json'))
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + 'annotations/zhiyuan_objv2_val.json')
test_evaluator = val_evaluator
