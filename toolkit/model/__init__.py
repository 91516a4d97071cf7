"""Models: base classes, initialisation, preprocessing, averaging and wrapping."""

from toolkit.model.averaged_model import (
    BaseAveragedModel,
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from toolkit.model.base_model import BaseModel
from toolkit.model.base_module import BaseModule, ModuleDict, ModuleList, Sequential
from toolkit.model.checkpointing import turn_on_activation_checkpointing
from toolkit.model.conv_bn_eval import turn_on_efficient_conv_bn_eval
from toolkit.model.data_preprocessor import BaseDataPreprocessor, ImgDataPreprocessor
from toolkit.model.freezing import freeze, trainable_table
from toolkit.model.fsdp import MMFullyShardedDataParallel
from toolkit.model.init_record import update_init_info
from toolkit.model.initializers import (
    BaseInit,
    BilinearInit,
    Caffe2XavierInit,
    ConstantInit,
    KaimingInit,
    NormalInit,
    PretrainedInit,
    TruncNormalInit,
    UniformInit,
    XavierInit,
    initialize,
)
from toolkit.model.separate import MMSeparateDistributedDataParallel
from toolkit.model.test_time_aug import BaseTTAModel
from toolkit.model.utils import (
    convert_sync_batchnorm,
    detect_anomalous_params,
    merge_dict,
    revert_sync_batchnorm,
    stack_batch,
)
from toolkit.model.weight_init import (
    bias_init_with_prob,
    bilinear_init,
    caffe2_xavier_init,
    constant_init,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from toolkit.model.wrappers import MMDistributedDataParallel, is_model_wrapper, own_class

__all__ = [
    "BaseAveragedModel",
    "BaseDataPreprocessor",
    "BaseInit",
    "BaseModel",
    "BaseModule",
    "BaseTTAModel",
    "BilinearInit",
    "Caffe2XavierInit",
    "ConstantInit",
    "ExponentialMovingAverage",
    "ImgDataPreprocessor",
    "KaimingInit",
    "MMDistributedDataParallel",
    "MMFullyShardedDataParallel",
    "MMSeparateDistributedDataParallel",
    "ModuleDict",
    "ModuleList",
    "MomentumAnnealingEMA",
    "NormalInit",
    "PretrainedInit",
    "Sequential",
    "StochasticWeightAverage",
    "TruncNormalInit",
    "UniformInit",
    "XavierInit",
    "bias_init_with_prob",
    "bilinear_init",
    "caffe2_xavier_init",
    "constant_init",
    "convert_sync_batchnorm",
    "detect_anomalous_params",
    "freeze",
    "initialize",
    "is_model_wrapper",
    "kaiming_init",
    "merge_dict",
    "normal_init",
    "own_class",
    "revert_sync_batchnorm",
    "stack_batch",
    "trainable_table",
    "trunc_normal_init",
    "turn_on_activation_checkpointing",
    "turn_on_efficient_conv_bn_eval",
    "uniform_init",
    "update_init_info",
    "xavier_init",
]
