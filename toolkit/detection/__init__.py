"""Object detection: data, transforms, models, evaluation and drawing, under MMDetection's names."""
