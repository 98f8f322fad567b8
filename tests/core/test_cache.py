"""Compiled programs are kept between processes."""

import os
import subprocess
import sys

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain.core import cache

PROGRAM = """
import logging
logging.basicConfig(level=logging.DEBUG, format="%(message)s")
import numpy as np, jax
import jaxchain.functions as F
from jaxchain.core import cache
F.tanh(np.ones((3, 5), np.float32)).array
print("FOLDER", cache.FOLDER)
"""


def run(**environment):
    """Return (folder, number of programs that were compiled, that were loaded)."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "JAXCHAIN_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**kept, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    folder = done.stdout.split("FOLDER ")[1].strip()
    lines = [line for line in done.stderr.splitlines() if "tanh" in line]
    missed = sum("PERSISTENT COMPILATION CACHE MISS" in line for line in lines)
    return folder, missed, sum("cache hit" in line for line in lines)


def test_the_second_process_compiles_nothing(tmp_path):
    folder, missed, hits = run(JAXCHAIN_CACHE=str(tmp_path))
    assert folder.startswith(str(tmp_path)) and missed and not hits
    assert os.stat(folder).st_mode & 0o777 == 0o700
    _, missed, hits = run(JAXCHAIN_CACHE=str(tmp_path))
    assert hits and not missed


@pytest.mark.parametrize(
    "environment",
    [{"JAXCHAIN_CACHE": "off"}, {"JAX_COMPILATION_CACHE_DIR": "{}"}, {"JAX_ENABLE_COMPILATION_CACHE": "false"}],
    ids=lambda e: next(iter(e)),
)
def test_it_is_off_where_somebody_decided(environment, tmp_path, monkeypatch):
    folder, *_ = run(XDG_CACHE_HOME=str(tmp_path), **{k: v.format(tmp_path / "own") for k, v in environment.items()})
    assert folder == "None" and not (tmp_path / "jaxchain").exists()


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path):
    assert cache._safe(tmp_path / "mine")
    (tmp_path / "ours").mkdir()
    os.chmod(tmp_path / "ours", 0o777)
    assert not cache._safe(tmp_path / "ours")
    (tmp_path / "file").touch()
    assert not cache._safe(tmp_path / "file" / "below")


def test_what_was_used_longest_ago_is_deleted_beyond_the_limit(tmp_path):
    for kind, name, age in (("a", "old", 40), ("a", "new", 1), ("b", "oldest", 50), ("b", "newer", 0)):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / name).write_bytes(bytes(100))
        os.utime(tmp_path / kind / name, (1e9 - age, 1e9 - 60))  # read later than written

    def left():
        return sorted(path.name for path in tmp_path.rglob("*") if path.is_file())

    cache.tidy(tmp_path, 400)
    assert left() == ["new", "newer", "old", "oldest"]
    cache.tidy(tmp_path, 299)
    assert left() == ["new", "newer"]
    cache.tidy(tmp_path, 0)
    assert left() == []


def test_the_users_folder_is_tidied_once_a_day_and_no_other(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(cache, "tidy", done.append)
    cache.tidy_daily(tmp_path).join()
    assert done == [tmp_path] and cache.tidy_daily(tmp_path) is None
    os.utime(tmp_path / "tidied", (1e9, 1e9))
    cache.tidy_daily(tmp_path).join()
    assert len(done) == 2
    run(XDG_CACHE_HOME=str(tmp_path / "home"))
    assert (tmp_path / "home" / "jaxchain" / "tidied").exists()
    run(JAXCHAIN_CACHE=str(tmp_path / "own"))
    assert not (tmp_path / "own" / "tidied").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mappings are counted on Linux only")
def test_ever_new_shapes_do_not_use_up_the_memory_mappings(monkeypatch):
    step = jaxchain.static(lambda x: F.tanh(x) * 2)

    x = np.float32([0.5, 1.5])
    expected = step(x).array
    start = cache.Room.mappings()
    monkeypatch.setattr(cache.room, "limit", start + 50)
    monkeypatch.setattr(cache.room, "every", 8)
    most = 0
    for n in range(1, 26):
        y = jaxchain.Variable(np.full((n, 7), n, np.float32))
        z = F.sum(y * y)
        z.backward()
        assert float(z.array) == 7.0 * n**3
        np.testing.assert_array_equal(y.grad, np.full((n, 7), 2.0 * n, np.float32))
        most = max(most, cache.Room.mappings())
    assert most < start + 200  # without room being made: 250
    np.testing.assert_array_equal(step(x).array, expected)
    assert len(step.explain().compiles) == 1  # the program was let go, what was traced was not
