import json
import os
import subprocess
import sys

import fsspec
import pytest

from jaxcirc._core import FolderLocked, is_locked, lock_folder, remove_unfinished


@pytest.fixture(params=["local", "stored"])
def folder(request, tmp_path):
    return str(tmp_path) if request.param == "local" else "memory://lock/run"


def test_a_second_writer_is_refused_by_name_and_may_follow_the_first(folder):
    with lock_folder(folder, who="first"):
        assert is_locked(folder)
        told = f"second: {folder} is being written by process {os.getpid()}"
        with pytest.raises(FolderLocked, match=told), lock_folder(folder, who="second"):
            pass
    assert not is_locked(folder)
    with lock_folder(folder, who="second"):
        pass


def test_a_lock_ends_with_an_error(folder):
    with pytest.raises(KeyboardInterrupt), lock_folder(folder, who="first"):
        raise KeyboardInterrupt
    assert not is_locked(folder)


HOLD = """
import sys, time
from jaxcirc._core import lock_folder
with lock_folder(sys.argv[1], who="other"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_holds_nothing(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    told = f"written by process {other.pid}"
    with pytest.raises(FolderLocked, match=told), lock_folder(str(tmp_path), who="x"):
        pass
    other.kill()
    other.wait()
    other.stdout.close()
    with lock_folder(str(tmp_path), who="x"):
        pass


def test_a_stored_lock_is_taken_over_only_from_a_process_known_to_be_gone():
    import socket

    fs = fsspec.filesystem("memory")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for host, gone in ((socket.gethostname(), True), ("another-host", False)):
        owner = {"host": host, "process": ended.pid}
        fs.pipe("/stale/run/run.lock", json.dumps(owner).encode())
        assert is_locked("memory://stale/run") is not gone


def test_what_killed_writes_have_left_is_removed_and_nothing_else(tmp_path):
    names = ("a.nc.0a1b2c3d.tmp", "a.nc", "mine.tmp", "b/c.0123abcd.tmp")
    (tmp_path / "b").mkdir()
    for name in names:
        (tmp_path / name).write_text("x")
    removed = remove_unfinished(str(tmp_path))
    assert [os.path.basename(path) for path in removed] == [
        "a.nc.0a1b2c3d.tmp",
        "c.0123abcd.tmp",
    ]
    left = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"a.nc", "mine.tmp"}
