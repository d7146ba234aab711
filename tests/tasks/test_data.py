"""Image data: handmade IDX files, the downloads of tensorflow-datasets, the embedded digits, the real MNIST."""

import gzip
import hashlib
import random
import struct
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from jaxga.tasks import data
from jaxga.tasks.data import load_images, read_idx

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NUM_TRAIN, NUM_TEST = 60, 7


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXGA_OFFLINE", "1")
    monkeypatch.delenv("JAXGA_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def contents():
    rng = np.random.default_rng(0)
    sizes = (NUM_TRAIN, NUM_TRAIN, NUM_TEST, NUM_TEST)
    return {
        name: rng.integers(0, 256, (n, 28, 28)) if "images" in name else rng.integers(0, 10, n)
        for name, n in zip(FILES, sizes, strict=True)
    }


def write(folder, arrays, *, zipped=False):
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        raw = idx_bytes(array)
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(raw) if zipped else raw)
    return folder


def refusal(*args, **kwargs):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the caller checks the text
        load_images(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("zipped", [False, True])
def test_files_become_three_splits(tmp_path, zipped):
    arrays = contents()
    folder = write(tmp_path / "idx", arrays, zipped=zipped)
    images = load_images("mnist", folder)
    assert str(folder) in images.source
    expected = arrays[FILES[0]].reshape(NUM_TRAIN, 784)
    assert images.train_images.dtype == np.uint8
    assert np.array_equal(images.train_images, expected[:50])
    assert np.array_equal(images.validation_images, expected[50:])
    assert np.array_equal(images.train_labels, arrays[FILES[1]][:50])
    assert np.array_equal(images.validation_labels, arrays[FILES[1]][50:])
    assert np.array_equal(images.test_images, arrays[FILES[2]].reshape(NUM_TEST, 784))
    assert np.array_equal(images.test_labels, arrays[FILES[3]])
    on_disk = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert images.files == on_disk


def test_hash_is_of_the_content(tmp_path):
    arrays = contents()
    plain = load_images("mnist", write(tmp_path / "plain", arrays))
    packed = load_images("mnist", write(tmp_path / "packed", arrays, zipped=True))
    assert plain.sha256 == packed.sha256
    arrays[FILES[3]][0] = (arrays[FILES[3]][0] + 1) % 10
    assert load_images("mnist", write(tmp_path / "other", arrays)).sha256 != plain.sha256


def test_environment_variable_names_the_folder(tmp_path, monkeypatch):
    folder = write(tmp_path / "idx", contents())
    monkeypatch.setenv("JAXGA_DATA_DIR", str(folder))
    assert load_images("fashion_mnist").name == "fashion_mnist"
    assert len(load_images().train_labels) == 50


def bad_files():
    arrays = contents()
    raw = {name: idx_bytes(array) for name, array in arrays.items()}
    zipped = gzip.compress(raw[FILES[0]])
    flipped = bytearray(zipped)
    flipped[len(flipped) // 2] ^= 0xFF
    too_high = arrays[FILES[1]].copy()
    too_high[3] = 10
    huge = raw[FILES[0]][:4] + struct.pack(">III", 2**31, 2**31, 4) + raw[FILES[0]][16:]
    return {
        "truncated": (FILES[0], raw[FILES[0]][:-1], "truncated"),
        "too long": (FILES[2], raw[FILES[2]] + b"x", "too long"),
        "header only half there": (FILES[0], raw[FILES[0]][:9], "truncated"),
        "empty": (FILES[1], b"", "starts with nothing"),
        "sizes that overflow": (FILES[0], huge, "truncated"),
        "labels for images": (FILES[0], raw[FILES[1]], "starts with 00000801, not 00000803"),
        "images for labels": (FILES[1], raw[FILES[0]], "starts with 00000803, not 00000801"),
        "a web page": (FILES[3], b"<html>not found</html>", "not an IDX file"),
        "not gzip": (FILES[0] + ".gz", raw[FILES[0]], "cannot be read"),
        "gzip cut short": (FILES[0] + ".gz", zipped[:-20], "cannot be read"),
        "gzip corrupt": (FILES[0] + ".gz", bytes(flipped), "cannot be read"),
        "gzip of a truncated file": (FILES[0] + ".gz", gzip.compress(raw[FILES[0]][:-5]), "truncated"),
        "label above 9": (FILES[1], idx_bytes(too_high), "labels must lie in 0 to 9, got 10"),
        "labels of the other split": (FILES[1], raw[FILES[3]], "7 labels for the 60 images"),
        "wrong image size": (FILES[2], idx_bytes(np.zeros((NUM_TEST, 8, 8))), "must be 28 x 28 pixels, got 8 x 8"),
        "no images": (FILES[2], idx_bytes(np.zeros((0, 28, 28))), "0 images"),
    }


@pytest.mark.parametrize("fault", bad_files())
def test_bad_file_is_named(tmp_path, fault):
    name, raw, problem = bad_files()[fault]
    folder = write(tmp_path / "idx", contents())
    (folder / name.removesuffix(".gz")).unlink()
    (folder / name).write_bytes(raw)
    message = refusal("mnist", folder)
    assert problem in message
    assert name in message


def test_missing_things_are_named(tmp_path):
    assert refusal("mnist", tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: no such folder"
    folder = write(tmp_path / "idx", contents())
    (folder / FILES[1]).unlink()
    assert FILES[1] in refusal("mnist", folder)
    (folder / FILES[1]).mkdir()
    assert FILES[1] in refusal("mnist", folder)
    assert "cifar" in refusal("cifar", folder)


def test_read_idx_keeps_shape_and_order(tmp_path):
    array = np.arange(24).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(array))
    assert np.array_equal(read_idx(tmp_path / "a", 3), array)


def test_embedded_digits_are_the_last_resort():
    from sklearn.datasets import load_digits

    images = load_images()
    assert images.name == "digits"
    assert "NOT the real MNIST" in images.source
    assert "JAXGA_OFFLINE" in images.source
    splits = [np.asarray(getattr(images, f"{split}_images")) for split in ("train", "validation", "test")]
    labels = np.concatenate([images.train_labels, images.validation_labels, images.test_labels])
    together = np.concatenate(splits)
    # All 1,797 images, each once and with its own label, to one part in 255.
    pixels, targets = load_digits(return_X_y=True)
    scaled = np.rint(pixels * 255 / 16).astype(np.uint8)
    rows = {row.tobytes(): int(target) for row, target in zip(scaled, targets, strict=True)}
    assert len(together) == len(targets) == len(rows) == len({row.tobytes() for row in together})
    assert [rows[row.tobytes()] for row in together] == labels.tolist()
    assert together.max() == 255
    assert all(set(split.tolist()) == set(range(10)) for split in (images.validation_labels, images.test_labels))
    assert load_images().sha256 == images.sha256


def test_digits_by_name_are_the_embedded_ones(tmp_path):
    images = load_images("digits")
    assert images.sha256 == load_images("mnist").sha256
    assert images.source == "scikit-learn's embedded 8x8 digits"
    assert images.shape == (8, 8)
    assert refusal("digits", tmp_path) == f"data_dir is for mnist and fashion_mnist, got '{tmp_path}' and digits"


def test_mnist1d_is_the_published_data():
    """The package's own arrays, in three splits; the caller's random numbers go on as before."""
    package = pytest.importorskip("mnist1d.data")
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 the generator uses the global state
    expected = random.random(), np.random.random()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    signals = load_images("mnist1d")
    assert (random.random(), np.random.random()) == expected  # noqa: NPY002
    made = package.make_dataset(package.get_dataset_args())
    train = np.concatenate([signals.train_images, signals.validation_images])
    assert [len(signals.train_images), len(signals.validation_images)] == [3334, 666]
    np.testing.assert_array_equal(train, made["x"].astype(np.float32))
    np.testing.assert_array_equal(signals.test_images, made["x_test"].astype(np.float32))
    labels = [signals.train_labels, signals.validation_labels, signals.test_labels]
    assert np.concatenate(labels).tolist() == [*made["y"], *made["y_test"]]
    assert np.bincount(np.concatenate(labels)).tolist() == [500] * 10
    assert signals.shape == (40,)
    assert signals.train_images.dtype == np.float32


def test_without_mnist1d(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    assert "pip install 'jaxga-evolution[mnist1d]'" in refusal("mnist1d")


def test_fashion_mnist_never_becomes_digits():
    assert "fashion_mnist" in refusal("fashion_mnist")


def test_without_tensorflow_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert "tensorflow-datasets cannot be imported" in load_images().source


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that stands for the web: tensorflow-datasets believes that its files are the data set's."""
    folder = write(tmp_path / "web", contents(), zipped=True)
    infos = {
        path.as_uri(): types.SimpleNamespace(checksum=hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    }
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(tfds, "builder_cls", lambda name: types.SimpleNamespace(url_infos=infos))
    monkeypatch.delenv("JAXGA_OFFLINE")
    return folder


def test_download_is_verified_and_kept(server, tmp_path, monkeypatch):
    images = load_images("fashion_mnist")
    assert images.name == "fashion_mnist"
    assert images.sha256 == load_images("fashion_mnist", server).sha256
    # Again, with no network and nothing left on it.
    for path in server.iterdir():
        path.unlink()
    monkeypatch.setenv("JAXGA_OFFLINE", "1")
    assert load_images("fashion_mnist").sha256 == images.sha256
    # A file spoilt on the disk is not believed.
    kept = [path for path in (tmp_path / "tfds").rglob("*") if path.is_file()]
    assert len(kept) == 4
    kept[0].write_bytes(kept[0].read_bytes()[:-1])
    assert "does not hold" in refusal("fashion_mnist")


def test_older_download_folder_is_found(server, tmp_path, monkeypatch):
    expected = load_images().sha256
    downloads = tmp_path / "tfds" / "downloads"
    for path in list((downloads / "mnist").iterdir()):
        path.rename(downloads / path.name)
    monkeypatch.setenv("JAXGA_OFFLINE", "1")
    assert load_images().sha256 == expected


def test_download_of_other_bytes_is_refused(server, tmp_path):
    victim = next(server.iterdir())
    victim.write_bytes(victim.read_bytes() + b"x")
    images = load_images()
    assert images.name == "digits"
    assert "SHA-256" in images.source
    assert "SHA-256" in refusal("fashion_mnist")
    assert not [path for path in (tmp_path / "tfds").rglob("*") if victim.name.split(".")[0] in path.name]


def test_unwritable_download_folder(server, tmp_path):
    (tmp_path / "tfds").write_text("a file where a folder should be")
    assert load_images().name == "digits"


@pytest.mark.usefixtures("server")
def test_silent_network_is_given_up(monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(data, "_CONNECT_TIMEOUT", 0.1)
    monkeypatch.setattr(data.urllib.request, "urlopen", lambda url, timeout: never.wait())
    assert "took too long" in load_images().source


def test_real_mnist(real_mnist: Path):
    images = load_images("mnist", real_mnist)
    assert images.sha256 == data.MNIST_SHA256
    assert (len(images.train_labels), len(images.validation_labels), len(images.test_labels)) == (
        50_000,
        10_000,
        10_000,
    )
    assert images.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    # How often each digit occurs in the test set, as published.
    assert np.bincount(images.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert "holds MNIST, not fashion_mnist" in refusal("fashion_mnist", real_mnist)
