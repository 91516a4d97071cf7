"""What the docstrings, the classes and docs/transforms.md say of keys."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("transform_table", ROOT / "tools" / "transform_table.py")
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)
# MMDetection 3.3's transforms, without those of videos and of re-identification, and MMCV 2.1's.
MMDETECTION = """
    Albu AutoAugment AutoContrast Brightness CachedMixUp CachedMosaic Color ColorTransform Contrast
    CopyPaste Corrupt CutOut Equalize Expand FilterAnnotations FixScaleResize FixShapeResize
    GTBoxSubOne_GLIP GeomTransform ImageToTensor InferencerLoader InstaBoost Invert LoadAnnotations
    LoadEmptyAnnotations LoadImageFromNDArray LoadMultiChannelImageFromFiles LoadPanopticAnnotations
    LoadProposals LoadTextAnnotations MinIoURandomCrop MixUp Mosaic MultiBranch PackDetInputs Pad
    PhotoMetricDistortion Posterize ProposalBroadcaster RandAugment RandomAffine RandomCenterCropPad
    RandomCrop RandomErasing RandomFlip RandomFlip_GLIP RandomOrder RandomSamplingNegPos RandomShift
    Resize ResizeShortestEdge Rotate SegRescale Sharpness ShearX ShearY Solarize SolarizeAdd ToTensor
    TranslateX TranslateY Transpose WrapFieldsToLists YOLOXHSVRandomAug
    CenterCrop KeyMapper LoadImageFromFile MultiScaleFlipAug Normalize RandomApply RandomChoice
    RandomChoiceResize RandomGrayscale RandomResize TestTimeAug TransformBroadcaster
"""


def stated(text: str, word: str) -> tuple[str, ...] | None:
    """The keys after a word of a docstring, up to the full stop; None where it doesn't stand there."""
    found = re.search(rf"^{word}: ((?:none|[`\w, \n])+)\.$", text, re.MULTILINE)
    return None if found is None else tuple(re.findall(r"`(\w+)`", found[1]))


@pytest.mark.parametrize("item", tool.transforms(), ids=lambda item: item.__name__)
def test_a_docstring_says_which_keys_are_read_changed_and_written(item):
    text = inspect.cleandoc(item.__doc__)
    for word in ("Reads", "Changes", "Writes"):
        keys = stated(text, word)
        assert keys is not None, f"{item.__name__} has no line '{word}: …'"
        assert sorted(keys) == sorted(getattr(item, word.lower()))


def test_the_page_is_up_to_date():
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run python tools/transform_table.py"


def test_all_of_mmdetections_transforms_are_there():
    assert not set(MMDETECTION.split()) - {item.__name__ for item in tool.transforms()}
