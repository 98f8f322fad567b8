"""Datasets whose examples are in files: images, lines of text, pickles."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile

import numpy as np
import pytest

from jaxchain import datasets, iterators, using_config

GREY, RGB = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


@pytest.fixture
def images(tmp_path):
    """A folder with a grey and an RGB image, in files and in two zip archives."""
    image = pytest.importorskip("PIL.Image")
    image.fromarray(GREY).save(tmp_path / "grey.png")
    image.fromarray(RGB).save(tmp_path / "rgb.png")
    for name, members in (("a.zip", ["grey.png", "rgb.png"]), ("b.zip", ["rgb.png"])):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.mkdir("folder")
            for member in members:
                archive.write(tmp_path / member, member)
    (tmp_path / "paths.txt").write_text("rgb.png\ngrey.png\n")
    (tmp_path / "pairs.txt").write_text("rgb.png 7\ngrey.png 3\n")
    (tmp_path / "wrong.txt").write_text("rgb.png 7\ngrey.png\n")
    return tmp_path


def same(actual, expected, dtype=np.float32):
    expected = expected[None] if expected.ndim == 2 else expected.transpose(2, 0, 1)
    return actual.dtype == dtype and np.array_equal(actual, expected)


def test_image_dataset(images):
    for paths in (["rgb.png", "grey.png"], str(images / "paths.txt"), images / "paths.txt"):
        d = datasets.ImageDataset(paths, root=str(images))
        assert len(d) == 2 and same(d[0], RGB) and same(d[1], GREY) and same(d[-1], GREY)
    with using_config("dtype", np.dtype(np.float16)):
        d = datasets.ImageDataset(["grey.png"], str(images))
    assert same(d[0], GREY, np.float16)
    assert same(datasets.ImageDataset(["grey.png"], str(images), np.uint8)[0], GREY, np.uint8)
    with pytest.raises(FileNotFoundError, match="nothing"):
        datasets.ImageDataset(["nothing.png"], str(images))[0]


def test_labeled_image_dataset(images):
    for pairs in ([("rgb.png", 7), ("grey.png", 3)], str(images / "pairs.txt")):
        d = datasets.LabeledImageDataset(pairs, str(images), label_dtype=np.int64)
        x, t = d[1]
        assert len(d) == 2 and same(x, GREY) and t.shape == () and t == 3 and t.dtype == np.int64
    assert datasets.LabeledImageDataset([("rgb.png", 7)], str(images))[0][1].dtype == np.int32
    with pytest.raises(ValueError, match=r"wrong.txt: line 2: expected a path and a label, got 'grey.png'"):
        datasets.LabeledImageDataset(str(images / "wrong.txt"))


def test_zipped_images(images):
    d = datasets.ZippedImageDataset(str(images / "a.zip"))
    assert len(d) == 2 and same(d[0], GREY) and same(d[np.int64(1)], RGB) and same(d.get_example("rgb.png"), RGB)
    other = pickle.loads(pickle.dumps(d))
    assert len(other) == 2 and same(other[1], RGB)
    with iterators.MultithreadIterator(d, 8, n_threads=4, shuffle=False) as it:
        assert all(same(x, (GREY, RGB)[i % 2]) for i, x in enumerate(it.next()))
    many = datasets.MultiZippedImageDataset([str(images / "a.zip"), images / "b.zip"], np.uint8)
    assert len(many) == 3 and same(many[0], GREY, np.uint8) and same(many[2], RGB, np.uint8)
    for wrong in (3, -1):
        with pytest.raises(IndexError, match="out of range: 3 images"):
            many.get_example(wrong)
    assert len(datasets.MultiZippedImageDataset([])) == 0
    labeled = datasets.LabeledZippedImageDataset(images / "a.zip", images / "pairs.txt")
    assert len(labeled) == 2 and same(labeled[0][0], RGB) and labeled[0][1] == 7 and labeled[0][1].dtype == np.int32


def test_pillow_is_missing(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for make in (
        lambda: datasets.ImageDataset([]),
        lambda: datasets.LabeledImageDataset([]),
        lambda: datasets.LabeledZippedImageDataset(images / "a.zip", images / "pairs.txt"),
    ):
        with pytest.raises(ImportError, match="pip install Pillow"):
            make()


def test_text_dataset(tmp_path):
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    a.write_bytes("eins\nzwölf\n\nvier".encode())
    b.write_bytes("one\ntwelve\n\nfo\xfcr\n".encode("latin-1"))
    d = datasets.TextDataset(str(a), encoding="utf-8")
    assert (
        len(d) == 4
        and [d[i] for i in (3, 1, 0, 2)] == ["vier", "zwölf\n", "eins\n", "\n"]
        and d[1:3] == ["zwölf\n", "\n"]
    )
    for wrong in (4, -1):
        with pytest.raises(IndexError, match="out of range: 4 lines"):
            d[wrong]
    pair = datasets.TextDataset([str(a), b], encoding=["utf-8", "latin-1"], filter_func=lambda x, y: len(x + y) > 3)
    assert len(pair) == 3 and pair[1] == ("zwölf\n", "twelve\n") and pair[2] == ("vier", "foür\n")
    other = pickle.loads(pickle.dumps(pair))
    pair.close()
    assert other[2] == ("vier", "foür\n")
    with pytest.raises(ValueError, match="closed file"):
        pair[0]
    assert datasets.TextDataset(b, "ascii", errors="replace")[3] == "fo�r\n"
    assert datasets.TextDataset(b, "latin-1", newline="\n")[0] == "one\n"
    b.write_text("one\n")
    with pytest.raises(ValueError, match="number of lines in files does not match: after 1 lines"):
        datasets.TextDataset([a, b], "utf-8")
    with pytest.raises(ValueError, match="at least one text file"):
        datasets.TextDataset([])
    with pytest.raises(ValueError, match=r"length of each option.*expected 2, got \[1, 2, 2\]"):
        datasets.TextDataset([a, b], ["utf-8"])


def test_text_dataset_in_threads(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line {i} {'x' * (i % 7)}\n" for i in range(200)))
    with iterators.MultithreadIterator(datasets.TextDataset(path), 200, n_threads=4, shuffle=False) as it:
        assert "".join(it.next()) == path.read_text()


def test_pickle_dataset(tmp_path):
    examples = [1, "two", {"three": 3}, np.arange(4)]
    with datasets.open_pickle_dataset_writer(tmp_path / "data", protocol=2) as writer:
        for example in examples:
            writer.write(example)
        writer.flush()
        assert (tmp_path / "data").stat().st_size > 100
    with datasets.open_pickle_dataset(str(tmp_path / "data")) as d:
        assert (
            len(d) == 4
            and d[1] == "two"
            and d[0] == 1
            and np.array_equal(d[3], np.arange(4))
            and d[1:3] == examples[1:3]
        )
        other = pickle.loads(pickle.dumps(d))
    with pytest.raises(ValueError, match="closed file"):
        d[0]
    assert other[2] == {"three": 3}
    with iterators.MultithreadIterator(other, 90, n_threads=4, shuffle=False) as it:
        assert [x for i, x in enumerate(it.next()) if i % 4 != 3] == (examples[:3] * 30)[:68]
    other.close()

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    with pytest.raises(ValueError, match="random access"):
        datasets.PickleDataset(Pipe())
    buffer = io.BytesIO()
    datasets.PickleDatasetWriter(buffer).write(5)
    assert datasets.PickleDataset(buffer)[0] == 5
    (tmp_path / "data").write_bytes(b"no pickle")
    with pytest.raises(pickle.UnpicklingError):
        datasets.open_pickle_dataset(tmp_path / "data")
