"""The root registries: one a kind, holding what every task shares."""

from __future__ import annotations

from toolkit.registry.allowed import FUNCTION_KIND
from toolkit.registry.build import build_model_from_cfg, build_runner_from_cfg, build_scheduler_from_cfg
from toolkit.registry.registry import Registry
from toolkit.registry.scope import ROOT_SCOPE

_MODULE = "torch.nn:Module"
_DATASET = "torch.utils.data:Dataset"
_OPTIM = ("toolkit.optim",)
_STRATEGIES = ("toolkit.runner.strategy",)

RUNNERS = Registry(
    "runner", build_func=build_runner_from_cfg, scope=ROOT_SCOPE, locations=("toolkit.runner",)
)
RUNNER_CONSTRUCTORS = Registry("runner constructor", scope=ROOT_SCOPE, locations=("toolkit.runner",))
STRATEGIES = Registry(
    "strategy",
    scope=ROOT_SCOPE,
    locations=_STRATEGIES,
    base="toolkit.runner.strategy:BaseStrategy",
)
LOOPS = Registry("loop", scope=ROOT_SCOPE, locations=("toolkit.runner",), base="toolkit.runner:BaseLoop")
HOOKS = Registry("hook", scope=ROOT_SCOPE, locations=("toolkit.hooks",), base="toolkit.hooks:Hook")
LOG_PROCESSORS = Registry("log processor", scope=ROOT_SCOPE, locations=("toolkit.runner",))

DATASETS = Registry("dataset", scope=ROOT_SCOPE, locations=("toolkit.dataset",), base=_DATASET)
DATA_SAMPLERS = Registry(
    "data sampler", scope=ROOT_SCOPE, locations=("toolkit.dataset",), base="torch.utils.data:Sampler"
)
TRANSFORMS = Registry(
    "transform",
    scope=ROOT_SCOPE,
    locations=("toolkit.transforms",),
    resolvers=("toolkit.transforms.torchvision_v2:resolve",),
)
FUNCTIONS = Registry(
    "function", scope=ROOT_SCOPE, locations=("toolkit.dataset", "toolkit.model"), base=FUNCTION_KIND
)

MODELS = Registry(
    "model",
    build_func=build_model_from_cfg,
    scope=ROOT_SCOPE,
    locations=(
        "toolkit.model",
        "toolkit.model.cnn",
        "toolkit.model.transformer",
        "toolkit.model.backbones",
    ),
    base=_MODULE,
    resolvers=("toolkit.registry.fallback:torch_layer",),
)
MODEL_WRAPPERS = Registry(
    "model wrapper", scope=ROOT_SCOPE, locations=("toolkit.model", *_STRATEGIES), base=_MODULE
)
WEIGHT_INITIALIZERS = Registry("weight initializer", scope=ROOT_SCOPE, locations=("toolkit.model",))

OPTIMIZERS = Registry(
    "optimizer",
    scope=ROOT_SCOPE,
    locations=_OPTIM,
    base="torch.optim:Optimizer",
    resolvers=(
        "toolkit.registry.fallback:torch_optimizer",
        "toolkit.registry.fallback:deepspeed_optimizer",
    ),
)
OPTIM_WRAPPERS = Registry("optimizer wrapper", scope=ROOT_SCOPE, locations=(*_OPTIM, *_STRATEGIES))
OPTIM_WRAPPER_CONSTRUCTORS = Registry("optimizer wrapper constructor", scope=ROOT_SCOPE, locations=_OPTIM)
PARAM_SCHEDULERS = Registry(
    "parameter scheduler", build_func=build_scheduler_from_cfg, scope=ROOT_SCOPE, locations=_OPTIM
)

METRICS = Registry(
    "metric", scope=ROOT_SCOPE, locations=("toolkit.evaluator",), base="toolkit.evaluator:BaseMetric"
)
EVALUATOR = Registry(
    "evaluator", scope=ROOT_SCOPE, locations=("toolkit.evaluator",), base="toolkit.evaluator:Evaluator"
)

TASK_UTILS = Registry("task util", scope=ROOT_SCOPE)
VISUALIZERS = Registry("visualizer", scope=ROOT_SCOPE, locations=("toolkit.visualization",))
VISBACKENDS = Registry("visualizer backend", scope=ROOT_SCOPE, locations=("toolkit.visualization",))
INFERENCERS = Registry("inferencer", scope=ROOT_SCOPE, locations=("toolkit.infer",))
