"""The decoding process: threads, forks, interrupts, deaths, and what is no such process."""

from __future__ import annotations

import _thread
import gc
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

import cleric
from cleric import _process
from cleric._command import command
from conftest import ON_CPU, ROOT

PLACE = ((90, 60), 0, (150, 140))


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def in_child(work: Callable[[], bool]) -> bool:
    """Runs it in a process that is forked; whether it was true there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def test_threads_share_one_process(slide: cleric.OpenSlide) -> None:
    places = [((17 * i % 600, 29 * i % 400), 0, (64, 64)) for i in range(60)]
    expected = [slide.read_region_array(*place) for place in places]
    pid = _process.current().pid
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(lambda place: slide.read_region_array(*place), places))
    assert all(np.array_equal(*each) for each in zip(read, expected))
    assert _process.current().pid == pid


def test_a_forked_process_starts_its_own(slide: cleric.OpenSlide) -> None:
    expected = slide.read_region_array(*PLACE)
    parents = _process.current()

    def read() -> bool:
        same = np.array_equal(slide.read_region_array(*PLACE), expected)
        own = _process.current().pid
        cleric.shutdown()
        # What is left of the parent's process must not close files that the child opens later.
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
        gc.collect()
        return bool(same and own != parents.pid and all(os.fstat(file) for file in files))

    assert in_child(read)
    assert _process.current() is parents
    assert np.array_equal(slide.read_region_array(*PLACE), expected)


def test_a_forked_process_keeps_no_pipe_open(slide: cleric.OpenSlide) -> None:
    """The parent's decoding process ends with the parent, though a child of it, which never reads, lives on."""
    process = _process.DecodingProcess(command())
    _process._current.started.append(process)
    process.start()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    assert process._child.stdin is not None
    process._outgoing.put(None)
    assert until(lambda: not is_running(process.pid))
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)


def read_in_child(slide: cleric.OpenSlide, queue: Any) -> None:
    queue.put(slide.read_region_array(*PLACE))


def test_a_spawned_process_opens_the_slide(slide: cleric.OpenSlide) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(slide, queue))
    child.start()
    read = queue.get(timeout=60)
    child.join()
    assert np.array_equal(read, slide.read_region_array(*PLACE))


def test_a_process_that_dies_fails_what_waits_and_is_started_again(slide: cleric.OpenSlide) -> None:
    expected = slide.read_region_array(*PLACE)
    process = _process.current()
    # It hears nothing any more, so that the answer can't come before its death.
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL)).start()
    with pytest.raises(cleric.ProcessError, match="ended by signal 9") as caught:
        slide.read_region(*PLACE)
    assert caught.value.code == "ERR_PROCESS_FAILED"
    assert np.array_equal(slide.read_region_array(*PLACE), expected)
    assert _process.current().pid != process.pid


def test_it_dies_with_its_parent(archive: str) -> None:
    code = f"""
import cleric, sys, time
from cleric import _process
slide = cleric.OpenSlide({archive!r}, **{ON_CPU!r})
print(_process.current().pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert until(lambda: not is_running(pid))


def test_an_interrupt_leaves_everything_usable(slide: cleric.OpenSlide) -> None:
    expected = slide.read_region_array(*PLACE)
    process = _process.current()
    assert process._memory is not None
    free = list(process._memory._free)
    for _ in range(3):
        os.kill(process.pid, signal.SIGSTOP)
        threading.Timer(0.1, _thread.interrupt_main).start()
        threading.Timer(0.3, os.kill, (process.pid, signal.SIGCONT)).start()
        with pytest.raises(KeyboardInterrupt):
            slide.read_regions([PLACE] * 20)
            # interrupt_main is heard where Python runs, and the wait ends only then.
            time.sleep(1)
        assert np.array_equal(slide.read_region_array(*PLACE), expected)
    assert _process.current() is process
    assert until(lambda: process._memory is not None and process._memory._free == free)
    assert not process._pending


def test_an_interrupt_from_the_keyboard_reaches_python_alone(archive: str) -> None:
    code = f"""
import cleric, os, signal, time
from cleric import _process
slide = cleric.OpenSlide({archive!r}, **{ON_CPU!r})
pid = _process.current().pid
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    slide.read_region((0, 0), 0, (10, 10))
    print("same" if _process.current().pid == pid else "another", flush=True)
"""
    options: Any = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, "-c", code], **options) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.killpg(child.pid, signal.SIGINT)
        assert child.stdout.readline() == "same\n"


def test_without_shared_memory_pixels_come_through_the_pipe(slide: cleric.OpenSlide) -> None:
    expected = slide.read_regions([PLACE] * 5)
    process = _process.DecodingProcess(command(), memory_bytes=0)
    process.start()
    try:
        number = process.ask("open", path=slide._path, options=ON_CPU).header["result"]["slide"]
        (x, y), level, (width, height) = PLACE
        pixels = process.pixels(number, [(x, y, level, width, height)] * 5, (5, height, width, 3))
        assert process._memory is None
        assert np.array_equal(pixels, expected)
        assert pixels.flags.writeable
    finally:
        process.close()
    assert not is_running(process.pid)


def test_little_memory_makes_threads_wait_and_large_regions_take_the_pipe(slide: cleric.OpenSlide) -> None:
    process = _process.DecodingProcess(command(), memory_bytes=3 * 64 * 64 * 3)
    process.start()
    try:
        number = process.ask("open", path=slide._path, options=ON_CPU).header["result"]["slide"]
        places = [(17 * i % 600, 29 * i % 400) for i in range(40)]

        def read(place: tuple[int, int]) -> Any:
            return process.pixels(number, [(*place, 0, 64, 64)], (1, 64, 64, 3))[0]

        with ThreadPoolExecutor(8) as threads:
            for place, pixels in zip(places, threads.map(read, places)):
                assert np.array_equal(pixels, slide.read_region_array(place, 0, (64, 64)))
        large = process.pixels(number, [(0, 0, 0, 700, 500)], (1, 500, 700, 3))[0]
        assert np.array_equal(large, slide.read_region_array((0, 0), 0, (700, 500)))
    finally:
        process.close()
    with pytest.raises(cleric.ProcessError) as caught:
        process.ask("close", slide=number)
    assert caught.value.code == "ERR_PROCESS_FAILED"


def test_errors_of_the_process_have_their_codes(slide: cleric.OpenSlide) -> None:
    process = _process.current()
    with pytest.raises(cleric.ArgumentError):
        process.ask("open", path=slide._path, options={"codec": 1})
    with pytest.raises(cleric.ArgumentError):
        process.ask("nothing")
    with pytest.raises(cleric.ClericError) as caught:
        process.ask("close", slide=12345)
    assert caught.value.code == "ERR_CLOSED"


def program(folder: Path, text: str) -> str:
    path = folder / "cleric"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import sys; sys.exit('no such command: pipe')", "ERR_PROCESS_FAILED", "status 1; it said:\nno such command"),
        ("print('something else altogether')", "ERR_PIPE_PROTOCOL", "no answer of `cleric pipe`"),
        ("import sys; sys.stdout.write('\\1\\0\\0\\0\\0\\0\\0\\0{')", "ERR_PIPE_PROTOCOL", "no header in JSON"),
        (
            'import sys; h = b\'{"protocol":99,"version":"9.9.9"}\'\n'
            "sys.stdout.buffer.write(len(h).to_bytes(4, 'little') + bytes(4) + h)\n"
            "sys.stdout.flush(); sys.stdin.read()",
            "ERR_PIPE_PROTOCOL",
            "cleric 9.9.9 of npm speaks version 99",
        ),
    ],
)
def test_what_is_no_decoding_process_says_what_it_is(tmp_path: Path, text: str, code: str, said: str) -> None:
    process = _process.DecodingProcess([program(tmp_path, text)])
    with pytest.raises(cleric.ProcessError) as caught:
        process.start()
    assert caught.value.code == code
    assert said in str(caught.value)
    assert until(lambda: not is_running(process.pid))


def test_which_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = str(ROOT / "dist" / "cli" / "start.cjs")
    assert command(str(ROOT))[1] == entry
    monkeypatch.setenv("CLERIC_HOME", str(tmp_path))
    with pytest.raises(cleric.ProcessError, match="scripts/setup makes it") as caught:
        command()
    assert caught.value.code == "ERR_CLERIC_MISSING"
    installed = tmp_path / "node_modules" / "cleric"
    installed.parent.mkdir()
    installed.symlink_to(ROOT)
    assert command()[1] == entry
    monkeypatch.setenv("CLERIC_NODE", str(tmp_path / "no-node"))
    with pytest.raises(cleric.ProcessError, match="no-node is no program") as caught:
        command()
    assert caught.value.code == "ERR_NODE_MISSING"
    monkeypatch.delenv("CLERIC_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(cleric.ProcessError, match="no command `cleric` on the PATH") as caught:
        command()
    assert caught.value.code == "ERR_CLERIC_MISSING"
    own = program(tmp_path, "")
    assert command() == [own]
    os.remove(own)
    os.symlink(entry, own)
    assert command(node=sys.executable) == [sys.executable, entry]
    with pytest.raises(cleric.ProcessError, match="can't be started"):
        _process.DecodingProcess([str(tmp_path / "nothing")])
