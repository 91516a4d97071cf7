# SGD with Nesterov momentum, its rate up and down once over the whole run (Smith & Topin, "Super-Convergence").
max_epochs = 24
max_lr = 0.1

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Weights of norms and biases are not decayed: they have no direction to shrink.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=max_lr, momentum=0.9, nesterov=True, weight_decay=1e-3),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
param_scheduler = dict(
    type='OneCycleLR',
    eta_max=max_lr,
    begin=0,
    end=max_epochs,
    total_steps=max_epochs,
    pct_start=0.2,
    by_epoch=True,
    convert_to_iter_based=True)
auto_scale_lr = dict(enable=False, base_batch_size=64)
