"""Image classification: data, transforms, models and evaluation, under MMPretrain's names."""
