"""WIDER FACE: boxes of faces."""

from __future__ import annotations

from collections import Counter
from typing import Any

from toolkit.detection.datasets.files import read_lines
from toolkit.detection.datasets.xml_style import XMLDataset
from toolkit.detection.registry import DATASETS
from toolkit.fileio import join_path
from toolkit.utils import DataError


@DATASETS.register_module()
class WIDERFaceDataset(XMLDataset):
    """WIDER FACE in Pascal VOC's format.

    The image `NAME` of `ann_file` has its boxes in `{img}/Annotations/NAME.xml` and lies at
    `{img}/FOLDER/NAME.jpg`, with `img` of `data_prefix` and the `<folder>` that its XML file names.
    Coordinates count from 0.

    Yang et al., "WIDER FACE: A Face Detection Benchmark", CVPR 2016; converted as
    https://github.com/sovrasov/wider-face-pascal-voc-annotations does.

    Args:
        **kwargs: Passed on to `XMLDataset`.
    """

    METAINFO = {"classes": ("face",), "palette": [(0, 255, 0)]}
    FIRST_PIXEL = 0

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the list of images and their XML files."""
        self.cat2label = {name: label for label, name in enumerate(self._metainfo["classes"])}
        folder = self.data_prefix.get("img") or self.data_root
        found: Counter[str] = Counter()
        data_list = []
        for img_id in read_lines(self.ann_file, "annotation file", self.backend_args):
            xml_path = join_path(folder, "Annotations", f"{img_id}.xml")
            event = self._read_xml(xml_path).findtext("folder")
            if event is None:
                raise DataError(f"{xml_path!r} names no <folder>, which holds the image.")
            raw = {
                "img_id": img_id,
                "img_path": join_path(folder, event, f"{img_id}.jpg"),
                "xml_path": xml_path,
            }
            data_list.append(self.parse_data_info(raw, found))
        return data_list
