# DINO (2022): Deformable DETR with boxes refined from proposals and with denoising queries.
_base_ = './deformable-detr_r50.py'
model = dict(
    type='DINO',
    num_queries=900,
    with_box_refine=True,
    as_two_stage=True,
    encoder=dict(
        layer_cfg=dict(
            self_attn_cfg=dict(dropout=0.0), ffn_cfg=dict(feedforward_channels=2048, ffn_drop=0.0))),
    decoder=dict(
        layer_cfg=dict(
            self_attn_cfg=dict(dropout=0.0),
            cross_attn_cfg=dict(dropout=0.0),
            ffn_cfg=dict(feedforward_channels=2048, ffn_drop=0.0))),
    positional_encoding=dict(offset=0.0, temperature=20),
    bbox_head=dict(type='DINOHead', loss_cls=dict(loss_weight=1.0)),
    # copies of the ground truth with noise, which the decoder learns to restore
    dn_cfg=dict(label_noise_scale=0.5, box_noise_scale=1.0, group_cfg=dict(dynamic=True, num_dn_queries=100)),
    test_cfg=dict(max_per_img=300))
