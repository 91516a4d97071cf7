"""Which registry a place of a config is built from, and what its builder adds or takes away.

This is the one table to extend when a config gets a new part.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from toolkit import registry as root
from toolkit.registry import Registry


@dataclass(frozen=True)
class Slot:
    """How a dict at some place is turned into an object.

    Attributes:
        kinds: Registries that are searched, in this order.
        supplied: Arguments that the builder gives; the config need not.
        extra: Keys that the builder reads itself; the class need not know them.
        default_type: The type where the config names none.
        strict: Whether required arguments must be in the config.
        needs_type: Whether a dict without a type is an error.
        known: Whether an unknown type is an error. Where False, it is left to the builder.
    """

    kinds: tuple[Registry, ...]
    supplied: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()
    default_type: str | None = None
    strict: bool = True
    needs_type: bool = True
    known: bool = True


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODEL = Slot((root.MODELS,))
DATA_PREPROCESSOR = Slot((root.MODELS,), needs_type=False, extra=_set("batch_augments"))
DATASET = Slot((root.DATASETS,))
SAMPLER = Slot((root.DATA_SAMPLERS,), supplied=_set("dataset seed"))
BATCH_SAMPLER = Slot((root.DATA_SAMPLERS,), supplied=_set("sampler batch_size"))
FUNCTION = Slot((root.FUNCTIONS,), strict=False)
TRANSFORM = Slot((root.TRANSFORMS,))
HOOK = Slot((root.HOOKS,), extra=_set("priority"))
METRIC = Slot((root.METRICS, root.EVALUATOR))
VISUALIZER = Slot((root.VISUALIZERS,), supplied=_set("name"))
VIS_BACKEND = Slot((root.VISBACKENDS,), supplied=_set("save_dir"))
LOG_PROCESSOR = Slot((root.LOG_PROCESSORS,), default_type="LogProcessor")
TRAIN_LOOP = Slot((root.LOOPS,), supplied=_set("runner dataloader"), extra=_set("by_epoch"))
VAL_LOOP = Slot((root.LOOPS,), supplied=_set("runner dataloader evaluator"), default_type="ValLoop")
TEST_LOOP = Slot((root.LOOPS,), supplied=_set("runner dataloader evaluator"), default_type="TestLoop")
OPTIMIZER = Slot((root.OPTIMIZERS,), supplied=_set("params"))
OPTIM_WRAPPER = Slot(
    (root.OPTIM_WRAPPERS,),
    supplied=_set("optimizer"),
    extra=_set("constructor paramwise_cfg"),
    default_type="OptimWrapper",
)
SCHEDULER = Slot(
    (root.PARAM_SCHEDULERS,),
    supplied=_set("optimizer"),
    extra=_set("convert_to_iter_based epoch_length"),
)

# Parts of models: what their owner's code adds to the config, so a config need not have it.
_PART = _set("train_cfg test_cfg context")
MODEL_PART = Slot((root.MODELS, root.TASK_UTILS), supplied=_PART, strict=False)
WHOLE_PART = Slot((root.MODELS, root.TASK_UTILS), supplied=_PART)
LOSS_CLS = Slot((root.MODELS,), extra=_set("bg_cls_weight"))
UTIL = Slot((root.TASK_UTILS, root.MODELS), supplied=_PART)
NORM = Slot((root.MODELS,), extra=_set("requires_grad"), strict=False)
LAYER = Slot((root.MODELS,), strict=False)
OPEN_LAYER = Slot(
    (root.MODELS,), extra=_set("fallback_on_stride scale_factor"), strict=False, needs_type=False, known=False
)
MODEL_WRAPPER = Slot(
    (root.MODEL_WRAPPERS,), supplied=_set("module"), default_type="MMDistributedDataParallel"
)
STRATEGY = Slot((root.STRATEGIES,))
INIT = Slot((root.WEIGHT_INITIALIZERS,), extra=_set("override name layer"), strict=False, needs_type=False)

# A part of a model by the name of its key.
MODEL_KEYS: dict[str, Slot | None] = {
    **dict.fromkeys(_set("backbone neck head rpn_head roi_head bbox_head mask_head"), WHOLE_PART),
    "data_preprocessor": DATA_PREPROCESSOR,
    **dict.fromkeys(_set("bbox_roi_extractor mask_roi_extractor"), WHOLE_PART),
    **dict.fromkeys(_set("bbox_coder anchor_generator prior_generator assigner iou_calculator"), UTIL),
    "sampler": UTIL,
    "norm_cfg": NORM,
    "loss_cls": LOSS_CLS,
    **dict.fromkeys(_set("act_cfg conv_cfg"), LAYER),
    **dict.fromkeys(_set("upsample_cfg roi_layer plugins dcn"), OPEN_LAYER),
    **dict.fromkeys(_set("init_cfg override"), INIT),
    # `type` is a function's name there, which the head itself looks up.
    "nms": None,
    "dqs_cfg": None,
}

# Keys that hold the same kind of thing in every context but that of models.
DATA_KEYS: dict[str, Slot | None] = {
    "pipeline": TRANSFORM,
    "transforms": TRANSFORM,
    "switch_pipeline": TRANSFORM,
    "dataset": DATASET,
    "datasets": DATASET,
    "vis_backends": VIS_BACKEND,
    "metrics": METRIC,
    "optimizer": OPTIMIZER,
    "tta_cfg": Slot((root.MODELS,), supplied=_set("module")),
    "collate_fn": FUNCTION,
    "metainfo": None,
    "backend_args": None,
    "file_client_args": None,
    "clip_grad": None,
}

# Parts of the whole config that are one object, a list of them, or a dict of them by name.
TOP: dict[str, Slot] = {
    "model": MODEL,
    "data_preprocessor": DATA_PREPROCESSOR,
    "train_cfg": TRAIN_LOOP,
    "val_cfg": VAL_LOOP,
    "test_cfg": TEST_LOOP,
    "optim_wrapper": OPTIM_WRAPPER,
    "param_scheduler": SCHEDULER,
    "val_evaluator": METRIC,
    "test_evaluator": METRIC,
    "default_hooks": HOOK,
    "custom_hooks": HOOK,
    "visualizer": VISUALIZER,
    "log_processor": LOG_PROCESSOR,
    "model_wrapper_cfg": MODEL_WRAPPER,
    "strategy": STRATEGY,
}

DATALOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
EVALUATORS = ("val_evaluator", "test_evaluator")

# Every key that the Runner reads, beside TOP and DATALOADERS.
OTHER_TOP_KEYS = _set(
    "work_dir auto_scale_lr load_from resume launcher env_cfg log_level default_scope randomness "
    "experiment_name custom_imports env_variables runner_type constructor find_unused_parameters sync_bn "
    "compile freeze device tta_model tta_pipeline activation_checkpointing "
    "efficient_conv_bn_eval report_unused_parameters"
)


def all_kinds() -> tuple[Registry, ...]:
    """The registries of parts, for a dict whose place says nothing about its kind."""
    wholes = (root.RUNNERS, root.INFERENCERS)
    return tuple(one for one in vars(root).values() if isinstance(one, Registry) and one not in wholes)


def kind_of(context: Slot, key: str) -> tuple[bool, Slot | None]:
    """The slot of a key inside an object of a context, and whether there is a rule for it.

    A rule of None says that dicts there are not built from a registry.
    """
    table: dict[str, Slot | None] = MODEL_KEYS if _is_model(context) else DATA_KEYS
    if key in table:
        return True, table[key]
    if _is_model(context) and key.endswith(("_head", "_extractor")):
        return True, dataclasses.replace(WHOLE_PART, needs_type=False)
    return False, None


def _is_model(context: Slot) -> bool:
    return root.MODELS in context.kinds or root.TASK_UTILS in context.kinds


def general(context: Slot) -> Slot:
    """The slot of a typed dict inside an object of a context, where its key says nothing."""
    if _is_model(context):
        return MODEL_PART
    first = tuple(context.kinds)
    rest = tuple(kind for kind in all_kinds() if kind not in first)
    # A dict here may be no building plan at all (a profiler's handler, a colour map), so an unknown type is
    # left to the code that reads it.
    return Slot((*first, *rest), strict=False, known=False)
