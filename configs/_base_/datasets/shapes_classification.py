# The embedded shapes, one an image: made on the fly, nothing is downloaded.
dataset_type = 'ShapesClassification'
image_size = (32, 32)

data_preprocessor = dict(
    num_classes=3,
    mean=[127.5, 127.5, 127.5],
    std=[60.0, 60.0, 60.0],
    to_rgb=True)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        num_images=2000,
        size=image_size,
        split='train',
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type=dataset_type,
        num_images=300,
        size=image_size,
        split='val',
        pipeline=test_pipeline))
val_evaluator = [
    dict(type='Accuracy', topk=(1, )),
    dict(type='SingleLabelMetric'),
]

test_dataloader = val_dataloader
test_evaluator = val_evaluator
