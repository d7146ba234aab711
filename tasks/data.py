"""Classification data as plain arrays: IDX files, TFDS's downloads, the embedded 8x8 digits, or MNIST-1D's signals."""

import gzip
import hashlib
import importlib.util
import math
import os
import random
import threading
import time
import urllib.request
import zlib
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from jaxga.distribution import install_hint
from jaxga.text import check_choice

DATA_DIR_VARIABLE = "JAXGA_DATA_DIR"
OFFLINE_VARIABLE = "JAXGA_OFFLINE"
Dataset = Literal["mnist", "fashion_mnist", "digits", "mnist1d"]
DATASETS: tuple[str, ...] = get_args(Dataset)
# Those that a folder of IDX files can hold.
_IDX_DATASETS = ("mnist", "fashion_mnist")

# ImageData.sha256 of the standard MNIST: 70,000 images, split as below.
MNIST_SHA256 = "c97a2c607853b499a01d274c02fa5de533f80f6f09404e77aa0e02ec99b4c1f5"

_SPLITS = {"train": "train", "test": "t10k"}
_IMAGE_SHAPE = (28, 28)
_NUM_CLASSES = 10
# The usual split of MNIST: 50,000 images to train on, the last 10,000 to choose settings by.
_VALIDATION_SHARE = 6
# Seconds until the first byte (the longest delay without a network), and for the four files together.
_CONNECT_TIMEOUT = 10.0
_DOWNLOAD_TIMEOUT = 120.0


@dataclass(frozen=True, eq=False)
class ImageData:
    """Square images, or signals, and their labels in three splits.

    Attributes:
        name: what the images are, e.g. ``"mnist"``.
        source: where they came from, a sentence for a person.
        train_images, validation_images, test_images: one row an image, u8[N, pixels], where 255 is 1.0; or one row a
            signal, f32[N, length].
        train_labels, validation_labels, test_labels: i32[N], 0 to 9.
        files: SHA-256 of each file read, by name; empty for the embedded digits.
    """

    name: str
    source: str
    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    files: dict[str, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image, ``(side, side)``, or of one signal, ``(length,)``."""
        size = self.train_images.shape[1]
        return (size,) if self.train_images.dtype == np.float32 else (math.isqrt(size),) * 2

    @property
    def sha256(self) -> str:
        """SHA-256 of all pixels and labels: equal data has an equal hash, however its files were packed."""
        digest = hashlib.sha256()
        for split in ("train", "validation", "test"):
            digest.update(np.ascontiguousarray(getattr(self, f"{split}_images")).tobytes())
            digest.update(getattr(self, f"{split}_labels").astype(np.uint8).tobytes())
        return digest.hexdigest()


def load_images(name: str = "mnist", data_dir: str | Path | None = None) -> ImageData:
    """Load a data set from the first place that has it.

    1. ``data_dir`` or the environment variable ``JAXGA_DATA_DIR``: the four IDX files, gzipped or not.
    2. The downloads of tensorflow-datasets, fetched where missing and verified by the SHA-256 that it
       records (no TensorFlow is needed; ``JAXGA_OFFLINE=1`` forbids the network).
    3. For ``mnist`` alone: scikit-learn's 1,797 handwritten digits of 8x8 pixels.

    Args:
        name: ``"mnist"`` or ``"fashion_mnist"``; ``"digits"``, the third place alone; or ``"mnist1d"``, 5,000 signals
            of 40 samples that the package ``mnist1d`` generates.
        data_dir: folder of ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two ``t10k-`` files.

    Returns:
        The images with a ``source`` that says which of the three was used, and why not an earlier one.

    Raises:
        ValueError: an unknown name, a missing folder or package, or a file that is missing, truncated, corrupt or
            mislabelled (one line that names the file); no Fashion-MNIST at all; a folder for data without files.
    """
    check_choice("dataset", name, DATASETS)
    if name not in _IDX_DATASETS:
        if data_dir is not None:
            raise ValueError(f"data_dir is for {' and '.join(_IDX_DATASETS)}, got {str(data_dir)!r} and {name}")
        return generated_signals() if name == "mnist1d" else embedded_digits("scikit-learn's embedded 8x8 digits")
    folder = data_dir if data_dir is not None else os.environ.get(DATA_DIR_VARIABLE)
    if folder:
        path = _folder(folder)
        data = _from_files(name, f"the IDX files in {path}", _find_files(path))
        if name != "mnist" and data.sha256 == MNIST_SHA256:
            raise ValueError(f"{path}: holds MNIST, not {name}")
        return data
    try:
        return _from_files(name, "tensorflow-datasets' download, its checksums verified", _tfds_files(name))
    except _UnavailableError as error:
        if name != "mnist":
            raise ValueError(f"dataset {name}: {error}; name a folder with its four IDX files as data_dir") from None
        return embedded_digits(f"scikit-learn's embedded 8x8 digits, NOT the real MNIST: {error}")


def read_idx(path: str | Path, num_axes: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, gzipped or not.

    Args:
        path: the file.
        num_axes: 3 for images, 1 for labels.

    Returns:
        u8, of the shape that the file's header gives.

    Raises:
        ValueError: the file is missing, truncated, corrupt or of another kind; one line that names it.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
    """
    try:
        raw = Path(path).read_bytes()
        content = gzip.decompress(raw) if str(path).endswith(".gz") or raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ValueError(f"{path}: cannot be read: {reason}") from None
    header_size = 4 + 4 * num_axes
    # The format's magic number: two zero bytes, 8 for unsigned bytes, the number of axes.
    magic = bytes([0, 0, 8, num_axes])
    if content[:4] != magic:
        raise ValueError(
            f"{path}: not an IDX file of unsigned bytes with {num_axes} axes: "
            f"it starts with {content[:4].hex() or 'nothing'}, not {magic.hex()}"
        )
    if len(content) < header_size:
        raise ValueError(f"{path}: truncated: its header needs {header_size} bytes, the file has {len(content)}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", num_axes, 4))
    # Python integers, which do not overflow: the sizes of a corrupt header must not give a plausible product.
    expected = header_size + math.prod(shape)
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "too long"
        raise ValueError(f"{path}: {problem}: its header promises {expected} bytes, the file has {len(content)}")
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


class _UnavailableError(Exception):
    """A source does not have the data; the next one is tried."""


def _file_names() -> list[str]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return [f"{prefix}-{kind}" for prefix in _SPLITS.values() for kind in kinds]


def _folder(name: str | Path) -> Path:
    """The folder, ``~`` replaced; ``ValueError`` where it does not exist or cannot be read."""
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            next(folder.iterdir(), None)
            return folder
    except RuntimeError as error:  # ~somebody who is not there
        raise ValueError(f"{name}: {error}") from None
    except OSError as error:
        raise ValueError(f"{name}: cannot be read: {error.strerror}") from None
    raise ValueError(f"{name}: no such folder")


def _find_files(folder: Path) -> dict[str, Path]:
    found = {}
    for name in _file_names():
        candidates = [folder / name, folder / f"{name}.gz"]
        existing = [path for path in candidates if path.is_file()]
        if not existing:
            raise ValueError(f"{folder / name}: missing, as is {name}.gz beside it")
        found[name] = existing[0]
    return found


def _from_files(name: str, source: str, files: dict[str, Path]) -> ImageData:
    arrays = {}
    for split, prefix in _SPLITS.items():
        image_file, label_file = files[f"{prefix}-images-idx3-ubyte"], files[f"{prefix}-labels-idx1-ubyte"]
        images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
        if images.shape[1:] != _IMAGE_SHAPE:
            height, width = images.shape[1:]
            raise ValueError(f"{image_file}: images must be 28 x 28 pixels, got {height} x {width}")
        if len(images) != len(labels):
            raise ValueError(f"{label_file}: {len(labels)} labels for the {len(images)} images of {image_file.name}")
        if len(labels) < _VALIDATION_SHARE:
            raise ValueError(f"{image_file}: at least {_VALIDATION_SHARE} images are needed, got {len(images)}")
        if labels.max() >= _NUM_CLASSES:
            raise ValueError(f"{label_file}: labels must lie in 0 to 9, got {labels.max()}")
        arrays[split] = images.reshape(len(images), -1), labels.astype(np.int32)
    images, labels = arrays["train"]
    num_train = len(images) - len(images) // _VALIDATION_SHARE
    return ImageData(
        name,
        source,
        images[:num_train],
        labels[:num_train],
        images[num_train:],
        labels[num_train:],
        *arrays["test"],
        files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files.values()},
    )


def embedded_digits(source: str) -> ImageData:
    """E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI, 1998: scikit-learn's share of it."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ValueError(
            f"{source}: scikit-learn, which carries them, is not installed; "
            f"{install_hint('mnist')} or name a folder with MNIST's four IDX files as data_dir"
        )
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        digits, targets = np.split(np.loadtxt(path, delimiter=","), [-1], axis=1)
    else:  # another version; importing its data sets takes a second
        from sklearn.datasets import load_digits

        digits, targets = load_digits(return_X_y=True)
    # Neighbouring rows were written by one person: shuffle before the split, with a fixed seed.
    order = np.random.default_rng(0).permutation(len(digits))
    # Sixteen grey levels; 255 stands for 1.0.
    images = np.rint(digits[order] * (255 / 16)).astype(np.uint8)
    labels = targets.reshape(-1)[order].astype(np.int32)
    held_out = len(labels) // _VALIDATION_SHARE
    train, validation, test = slice(2 * held_out, None), slice(held_out), slice(held_out, 2 * held_out)
    return ImageData(
        "digits",
        source,
        images[train],
        labels[train],
        images[validation],
        labels[validation],
        images[test],
        labels[test],
    )


def generated_signals() -> ImageData:
    """S. Greydanus, D. Kobak, "Scaling down deep learning with MNIST-1D", 2024: its default data, seed 42.

    Of the 4,000 signals to train on, the last sixth is for validation; the 1,000 others are the test split.
    """
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as error:
        raise ValueError(f"dataset mnist1d: {error}; {install_hint('mnist1d')}") from None
    # The generator seeds the global random states, which are the caller's.
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        made = make_dataset(get_dataset_args())
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    signals, labels = made["x"].astype(np.float32), made["y"].astype(np.int32)
    num_train = len(labels) - len(labels) // _VALIDATION_SHARE
    return ImageData(
        "mnist1d",
        "generated by the package mnist1d with its default arguments",
        signals[:num_train],
        labels[:num_train],
        signals[num_train:],
        labels[num_train:],
        made["x_test"].astype(np.float32),
        made["y_test"].astype(np.int32),
    )


def _tfds_files(name: str) -> dict[str, Path]:
    """The four files in the download folder of tensorflow-datasets, each of the recorded SHA-256."""
    try:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core.constants import DATA_DIR
        from tensorflow_datasets.core.download.resource import get_dl_fname

        url_infos: Any = tfds.builder_cls(name).url_infos
    except ImportError as error:
        raise _UnavailableError(f"tensorflow-datasets cannot be imported ({error})") from None
    root = os.environ.get("TFDS_DATA_DIR") or DATA_DIR
    try:
        downloads = Path(root).expanduser() / "downloads"
    except RuntimeError as error:
        raise _UnavailableError(f"{root}: {error}") from None
    found, missing = {}, {}
    for url, info in url_infos.items():
        file_name = get_dl_fname(url, info.checksum)
        # Newer versions of tensorflow-datasets have one folder per data set, older ones a single folder.
        places = [downloads / name / file_name, downloads / file_name]
        path = next((path for path in places if path.is_file() and _sha256(path) == info.checksum), None)
        if path is None:
            path = places[0]
            missing[url] = (path, info.checksum)
        found[url.rsplit("/", 1)[1].removesuffix(".gz")] = path
    if missing:
        if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
            raise _UnavailableError(f"{OFFLINE_VARIABLE} is set, and {downloads} does not hold {name}")
        _download(missing)
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download(wanted: dict[str, tuple[Path, str]]) -> None:
    """Fetch each URL to its path; ``_UnavailableError`` where that fails or takes too long."""
    started, problems = threading.Event(), []
    deadline = time.monotonic() + _DOWNLOAD_TIMEOUT

    def fetch() -> None:
        for url, (path, checksum) in wanted.items():
            try:
                _fetch(url, path, checksum, started, deadline)
            except (OSError, ValueError, HTTPException) as error:
                problems.append(f"{url}: {getattr(error, 'reason', error)}")
                return

    # A thread, because urllib has no time-out for a name server that does not answer.
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(_CONNECT_TIMEOUT)
    if thread.is_alive() and started.is_set():
        thread.join(max(0.0, deadline - time.monotonic()))
    if problems:
        raise _UnavailableError(f"the download failed ({problems[0]})")
    if thread.is_alive():
        raise _UnavailableError("the download took too long")


def _fetch(url: str, path: Path, checksum: str, started: threading.Event, deadline: float) -> None:
    content = bytearray()
    with urllib.request.urlopen(url, timeout=_CONNECT_TIMEOUT) as response:
        while block := response.read(1 << 16):
            started.set()
            content += block
            if time.monotonic() > deadline:
                raise OSError("the download took too long")
    found = hashlib.sha256(content).hexdigest()
    if found != checksum:
        raise ValueError(f"SHA-256 is {found}, not {checksum}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written under another name, then renamed: a reader never sees an incomplete file.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
