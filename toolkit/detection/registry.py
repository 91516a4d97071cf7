"""The registries of detection: children of the root ones, with what detection adds."""

from __future__ import annotations

from toolkit import registry as root
from toolkit.registry import Registry

_SCOPE = "detection"
_MODELS = ("toolkit.detection.models",)
_DATASETS = ("toolkit.detection.datasets",)
_DRAWING = ("toolkit.detection.visualization",)

MODELS = Registry("model", parent=root.MODELS, scope=_SCOPE, locations=_MODELS)
TASK_UTILS = Registry("task util", parent=root.TASK_UTILS, scope=_SCOPE, locations=_MODELS)
DATASETS = Registry("dataset", parent=root.DATASETS, scope=_SCOPE, locations=_DATASETS)
DATA_SAMPLERS = Registry("data sampler", parent=root.DATA_SAMPLERS, scope=_SCOPE, locations=_DATASETS)
TRANSFORMS = Registry(
    "transform", parent=root.TRANSFORMS, scope=_SCOPE, locations=("toolkit.detection.transforms",)
)
METRICS = Registry("metric", parent=root.METRICS, scope=_SCOPE, locations=("toolkit.detection.evaluation",))
EVALUATOR = Registry("evaluator", parent=root.EVALUATOR, scope=_SCOPE)
VISUALIZERS = Registry("visualizer", parent=root.VISUALIZERS, scope=_SCOPE, locations=_DRAWING)
VISBACKENDS = Registry("visualizer backend", parent=root.VISBACKENDS, scope=_SCOPE)
HOOKS = Registry("hook", parent=root.HOOKS, scope=_SCOPE, locations=("toolkit.detection.hooks", *_DRAWING))
LOOPS = Registry("loop", parent=root.LOOPS, scope=_SCOPE)
RUNNERS = Registry("runner", parent=root.RUNNERS, scope=_SCOPE)
RUNNER_CONSTRUCTORS = Registry("runner constructor", parent=root.RUNNER_CONSTRUCTORS, scope=_SCOPE)
STRATEGIES = Registry("strategy", parent=root.STRATEGIES, scope=_SCOPE)
LOG_PROCESSORS = Registry("log processor", parent=root.LOG_PROCESSORS, scope=_SCOPE)
FUNCTIONS = Registry("function", parent=root.FUNCTIONS, scope=_SCOPE, locations=_DATASETS)
MODEL_WRAPPERS = Registry("model wrapper", parent=root.MODEL_WRAPPERS, scope=_SCOPE)
WEIGHT_INITIALIZERS = Registry("weight initializer", parent=root.WEIGHT_INITIALIZERS, scope=_SCOPE)
OPTIMIZERS = Registry("optimizer", parent=root.OPTIMIZERS, scope=_SCOPE)
OPTIM_WRAPPERS = Registry("optimizer wrapper", parent=root.OPTIM_WRAPPERS, scope=_SCOPE)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor", parent=root.OPTIM_WRAPPER_CONSTRUCTORS, scope=_SCOPE
)
PARAM_SCHEDULERS = Registry(
    "parameter scheduler",
    parent=root.PARAM_SCHEDULERS,
    scope=_SCOPE,
    locations=("toolkit.detection.schedulers",),
)
INFERENCERS = Registry("inferencer", parent=root.INFERENCERS, scope=_SCOPE)
