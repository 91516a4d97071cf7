"""Images in a folder for each class, or listed in a text file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolkit.classification.datasets.base import BaseClsDataset
from toolkit.classification.registry import DATASETS
from toolkit.fileio import join_path, read_text
from toolkit.utils.errors import DataError
from toolkit.utils.suggest import did_you_mean

logger = logging.getLogger("toolkit")

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")


@DATASETS.register_module()
class CustomDataset(BaseClsDataset):
    """An image-folder dataset.

    Without `ann_file`, every folder in `data_root/data_prefix` is a class, and the images in and below it
    are its samples:

        data_prefix/
            cat/0.jpg  cat/x/1.png
            dog/a.jpg

    With `ann_file`, each of its lines is the path of an image under `data_prefix` and its label (a number,
    or a class name of `metainfo`), separated by white space; `with_label=False` needs no label.

    Classes are numbered in the order of `metainfo['classes']`, by default in the alphabetic order of the
    folders. Where all names in `metainfo` are folders, other folders are left out, and counted in
    `filter_counts`. Names that are no folders are taken as display names of the folders in alphabetic order;
    there must be as many.

    Args:
        data_root: Folder that the others are relative to.
        data_prefix: Folder of the images.
        ann_file: List of the images; empty for folders by class.
        with_label: Whether the images are labelled; otherwise all under `data_prefix` are samples.
        extensions: Endings of image files; case is ignored.
        metainfo: Facts such as `classes`.
        lazy_init: Don't read the folders until they are needed.
        **kwargs: Of `BaseClsDataset`.

    Raises:
        DataError: A folder or file is missing, holds no image, or doesn't fit the classes.
    """

    def __init__(
        self,
        data_root: str = "",
        data_prefix: str | Mapping[str, Any] = "",
        ann_file: str = "",
        with_label: bool = True,
        extensions: Sequence[str] = EXTENSIONS,
        metainfo: Mapping | None = None,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        if not (data_root or data_prefix or ann_file):
            raise DataError("CustomDataset needs data_root, data_prefix or ann_file; all are empty")
        self.extensions = tuple(extension.lower() for extension in extensions)
        self.with_label = with_label
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            metainfo=metainfo,
            lazy_init=lazy_init,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """A dict a sample: `img_path`, and `gt_label` where there are labels."""
        if self.ann_file:
            return self._from_ann_file()
        self.check_exists(self.img_prefix, "image folder (data_prefix)")
        if not os.path.isdir(self.img_prefix):
            raise DataError(
                f"image folder (data_prefix) {self.img_prefix!r} is a file; give its paths as ann_file"
            )
        if not self.with_label:
            return [{"img_path": path} for path in self._images_below(self.img_prefix)]
        return self._from_folders()

    def _images_below(self, folder: str) -> Iterator[str]:
        for parent, folders, files in os.walk(folder, followlinks=True):
            folders.sort()
            yield from (
                os.path.join(parent, name) for name in sorted(files) if name.lower().endswith(self.extensions)
            )

    def _from_folders(self) -> list[dict]:
        with os.scandir(self.img_prefix) as entries:
            folders = sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
        if not folders:
            raise DataError(
                f"image folder {self.img_prefix!r} holds no folder; a folder for each class is needed, "
                "or ann_file, or with_label=False"
            )
        samples: list[dict] = []
        empty = []
        for label, folder in enumerate(self._labelled(folders)):
            paths = list(self._images_below(os.path.join(self.img_prefix, folder)))
            samples += [{"img_path": path, "gt_label": label} for path in paths]
            if not paths:
                empty.append(folder)
        if not samples:
            raise DataError(
                f"the {len(folders)} folders of {self.img_prefix!r} hold no image with one of the extensions "
                f"{', '.join(self.extensions)}"
            )
        if empty:
            logger.warning("%s: no image in the class folders %s", self.img_prefix, ", ".join(empty))
        return samples

    def _labelled(self, folders: list[str]) -> list[str]:
        """The folders in the order of their labels; settles the class names."""
        classes = self._metainfo.get("classes")
        if classes is None:
            self._metainfo["classes"] = tuple(folders)
            return folders
        missing = [name for name in classes if name not in folders]
        if not missing:
            left_out = len(folders) - len(classes)
            if left_out:
                self.filter_counts["folder of another class"] += left_out
                logger.info(
                    "%s: %d folders are of no class in metainfo, and left out", self.img_prefix, left_out
                )
            return list(classes)
        if len(missing) == len(classes) == len(folders):
            return folders
        hints = "".join(f"\n  {name!r}{did_you_mean(name, folders)}" for name in missing[:5])
        raise DataError(
            f"{len(missing)} of the {len(classes)} classes in metainfo are no folders of "
            f"{self.img_prefix!r}:{hints}\n"
            f"it holds {len(folders)}: {', '.join(folders[:20])}{', …' if len(folders) > 20 else ''}"
        )

    def _from_ann_file(self) -> list[dict]:
        self.check_exists(self.ann_file, "annotation file (ann_file)")
        lines = [line.strip() for line in read_text(self.ann_file).splitlines()]
        samples: list[dict] = []
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            if not self.with_label:
                samples.append({"img_path": join_path(self.img_prefix, line)})
                continue
            path, _, label = line.rpartition(" ") if "\t" not in line else line.rpartition("\t")
            if not path:
                raise DataError(
                    f"{self.ann_file}:{number}: a line is the path of an image and its label, but got "
                    f"{line!r} "
                    "(with_label=False needs no label)"
                )
            samples.append(
                {"img_path": join_path(self.img_prefix, path.strip()), "gt_label": self._label(label, number)}
            )
        return samples

    def _label(self, text: str, line: int) -> int:
        names = self.class_to_idx
        if text in names:
            return names[text]
        if not text.isdigit():
            raise DataError(
                f"{self.ann_file}:{line}: label {text!r} is neither a number nor a class of metainfo"
                f"{did_you_mean(text, names)}"
            )
        if names and int(text) >= len(names):
            raise DataError(
                f"{self.ann_file}:{line}: label {text}, but metainfo names {len(names)} classes (0 to "
                f"{len(names) - 1})"
            )
        return int(text)
