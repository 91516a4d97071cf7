"""LoadTextAnnotations and RandomSamplingNegPos."""

from __future__ import annotations

import random
import re
import sys
import types

import numpy as np
import pytest

from toolkit.detection.transforms import LoadTextAnnotations, RandomSamplingNegPos
from toolkit.utils.errors import BuildError, ConfigError, DataError

NAMES = [
    *("Cat", "dog", "toothbrush", "traffic_light"),
    *("teddy bear", "person", "hot air-balloon/train", "hair  (dry)"),
]
PHRASES = {0: {"tokens_positive": [[0, 12]]}, 1: {"tokens_positive": [[13, 23]]}, 2: {"tokens_positive": []}}


class Tokenizer:
    """Counts as BERT's would with a vocabulary that has `tooth` and `##brush`."""

    @classmethod
    def from_pretrained(cls, name):
        if name != "words":
            raise OSError(f"{name} is no tokenizer")
        return cls()

    def tokenize(self, text):
        return re.findall(r"tooth|brush|\w+|[^\w\s]", text)


@pytest.fixture(autouse=True)
def _transformers(monkeypatch):
    package = types.ModuleType("transformers")
    package.AutoTokenizer = Tokenizer
    monkeypatch.setitem(sys.modules, "transformers", package)


def sample(**keys) -> dict:
    return {
        "gt_bboxes": np.arange(16, dtype=np.float32).reshape(4, 4),
        "gt_bboxes_labels": np.asarray([2, 0, 2, 5]),
        "gt_ignore_flags": np.asarray([False, True, False, False]),
        "text": {str(label): name for label, name in enumerate(NAMES)},
        **keys,
    }


# What MMDetection 3.3.0 gives, where what it draws as not there isn't there.
@pytest.mark.parametrize(
    ("seed", "options", "labels", "text", "places"),
    [
        (
            0,
            {},
            [1, 2, 1, 3],
            "train. toothbrush. cat. person. ",
            {1: [[7, 17]], 2: [[19, 22]], 3: [[24, 30]]},
        ),
        (
            1,
            {},
            [3, 1, 3, 2],
            "hair . cat. person. toothbrush. ",
            {1: [[7, 10]], 2: [[12, 18]], 3: [[20, 30]]},
        ),
        (
            2,
            {},
            [3, 2, 3, 0],
            "person. teddy bear. cat. toothbrush. ",
            {0: [[0, 6]], 2: [[20, 23]], 3: [[25, 35]]},
        ),
        (
            0,
            {"max_tokens": 9},
            [2, 0, 2, 1],
            "cat. person. toothbrush. ",
            {0: [[0, 3]], 1: [[5, 11]], 2: [[13, 23]]},
        ),
    ],
)
def test_a_caption_of_what_is_there_and_what_is_not(seed, options, labels, text, places):
    transform = RandomSamplingNegPos("words", num_sample_negative=1, **options)
    random.seed(seed)
    np.random.seed(seed)
    results = transform(sample())
    assert results["gt_bboxes_labels"].tolist() == labels
    assert (results["text"], results["tokens_positive"]) == (text, places)


@pytest.mark.parametrize(
    ("seed", "boxes", "labels", "text"),
    [(0, [1, 3], [0, 1], "cat. person. "), (1, [0, 1, 2], [1, 0, 1], "cat. toothbrush. ")],
)
def test_objects_that_find_no_room_go_with_all_that_is_theirs(seed, boxes, labels, text):
    """The captions are MMDetection's, which keeps the flags of the objects that it takes out."""
    transform = RandomSamplingNegPos("words", num_sample_negative=1, max_tokens=5, full_sampling_prob=0.0)
    random.seed(seed)
    np.random.seed(seed)
    results = transform(sample())
    assert (results["gt_bboxes"][:, 0] / 4).tolist() == boxes
    assert results["gt_ignore_flags"].tolist() == [place == 1 for place in boxes]
    assert results["gt_bboxes_labels"].tolist() == labels
    assert results["text"] == text


def test_what_is_there_is_never_among_what_is_not():
    transform = RandomSamplingNegPos("words")
    for seed in range(20):
        random.seed(seed)
        np.random.seed(seed)
        names = transform(sample())["text"].split(". ")
        assert len(set(names)) == len(names)


def test_names_may_come_in_a_row_and_stay_as_they_are():
    names = tuple(NAMES)
    results = RandomSamplingNegPos("words")(sample(text=names))
    assert set(results["text"].rstrip(". ").split(". ")) >= {"cat", "toothbrush", "person"}
    assert names == tuple(NAMES)


def test_an_image_without_objects_has_a_caption_all_the_same(tmp_path):
    (tmp_path / "names.json").write_text('{"0": "cat", "1": "dog"}')
    empty = {
        "gt_bboxes": np.zeros((0, 4), np.float32),
        "gt_bboxes_labels": np.zeros(0, np.int64),
        "gt_ignore_flags": np.zeros(0, bool),
    }
    transform = RandomSamplingNegPos(
        "words", full_sampling_prob=1.0, label_map_file=str(tmp_path / "names.json")
    )
    results = transform(empty)
    assert results["text"] in ("cat. dog. ", "dog. cat. ")
    assert results["tokens_positive"] == {}
    assert results["gt_bboxes_labels"].dtype == np.int64


def test_a_caption_with_phrases_stays():
    given = sample(
        text=" The red ball on the mat. A dog ", phrases=PHRASES, gt_bboxes_labels=np.asarray([0, 1, 1, 1])
    )
    loaded = LoadTextAnnotations()(dict(given))
    assert loaded["text"] == given["text"]
    assert loaded["tokens_positive"] == [[[0, 12]], [[13, 23]], []]
    results = RandomSamplingNegPos("words")(dict(given))
    assert results["text"] == "the red ball on the mat. a dog. "
    assert results["tokens_positive"] == {0: [[0, 12]], 1: [[13, 23]]}


@pytest.mark.parametrize("text", [{"0": "cat", "1": "dog"}, ("cat", "dog"), ["cat", "dog"]])
def test_names_as_a_list(text):
    assert LoadTextAnnotations()({"text": text}) == {"text": ["cat", "dog"]}


def test_mistakes_are_named(monkeypatch):
    with pytest.raises(DataError, match="return_classes=True"):
        LoadTextAnnotations()({})
    with pytest.raises(DataError, match="phrases"):
        LoadTextAnnotations()({"text": "a caption"})
    with pytest.raises(DataError, match=r"labels \[5\]"):
        RandomSamplingNegPos("words")(sample(text=NAMES[:4]))
    with pytest.raises(ConfigError, match="tokenizer 'letters'"):
        RandomSamplingNegPos("letters")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BuildError, match="pip install transformers"):
        RandomSamplingNegPos("words")
