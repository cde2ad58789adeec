"""The Node.js process that decodes: one for each process of Python, started when it is first needed."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import queue
import subprocess
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import numpy as np
import numpy.typing as npt

from ._command import command
from ._frames import Frame, encode_frame, read_frame
from ._memory import PixelMemory
from .errors import ProcessError, error_of

PROTOCOL_VERSION = 1
# Pixels that are on their way, of all threads together; more wait for their turn.
_MEMORY_BYTES = 1 << 28
# Seconds until it has greeted: on a busy machine starting takes a while.
_START_SECONDS = 120.0
# Seconds that it has to end by itself.
_END_SECONDS = 5.0
# The most that is kept of what it says to people.
_SAID_BYTES = 4096


class _Pending:
    """A request that isn't answered yet."""

    __slots__ = ("block", "future", "id", "is_abandoned", "size")

    def __init__(self, id: int, block: int | None, size: int) -> None:
        self.id = id
        self.block = block
        self.size = size
        self.future: Future[Frame] = Future()
        # Nobody waits for the answer: whoever takes it in gives the block back.
        self.is_abandoned = False


class DecodingProcess:
    """``cleric pipe``, and what is asked of it. Any thread may ask.

    :raises ProcessError: ERR_CLERIC_MISSING, ERR_NODE_MISSING, ERR_PROCESS_FAILED
    """

    def __init__(self, argv: list[str], memory_bytes: int = _MEMORY_BYTES) -> None:
        self._lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._ids = itertools.count(1)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._said = b""
        self._greeting: Future[dict[str, Any]] = Future()
        self.failure: ProcessError | None = None
        self.is_closed = False
        self._argv = argv
        try:
            self._memory: PixelMemory | None = PixelMemory(memory_bytes) if memory_bytes > 0 else None
        except OSError:
            # Pixels then come through the pipe.
            self._memory = None
        descriptors = () if self._memory is None else (self._memory.descriptor,)
        options = [text for number in descriptors for text in ("--memory-fd", str(number))]
        try:
            self._child = subprocess.Popen(
                [*argv, "pipe", *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Without buffers there are no locks that another thread may hold when this process forks.
                bufsize=0,
                pass_fds=descriptors,
                # Ctrl-C is for Python, which then tells what is to be stopped.
                start_new_session=True,
            )
        except BaseException as error:
            if self._memory:
                self._memory.forget()
            if isinstance(error, OSError):
                raise ProcessError("ERR_PROCESS_FAILED", f"{argv[0]} can't be started: {error}") from error
            raise

    def start(self) -> None:
        """Begins to talk, and waits for the greeting."""
        self._listener = threading.Thread(target=self._listen, name="cleric-stderr", daemon=True)
        for thread in (
            self._listener,
            threading.Thread(target=self._write, name="cleric-requests", daemon=True),
            threading.Thread(target=self._read, name="cleric-answers", daemon=True),
        ):
            thread.start()
        try:
            greeting = self._greeting.result(_START_SECONDS)
        except BaseException as error:
            self.close()
            if isinstance(error, FutureTimeoutError):
                what = f"{' '.join(self._argv)} pipe has said nothing for {_START_SECONDS:.0f} s"
                raise ProcessError("ERR_PROCESS_FAILED", what) from None
            raise
        if greeting.get("protocol") != PROTOCOL_VERSION:
            self.close()
            raise ProcessError(
                "ERR_PIPE_PROTOCOL",
                f"cleric {greeting.get('version')} of npm speaks version {greeting.get('protocol')} of the protocol, "
                f"this package version {PROTOCOL_VERSION}: install versions of both that go together",
            )

    @property
    def pid(self) -> int:
        """Process number of Node.js."""
        return self._child.pid

    @property
    def is_usable(self) -> bool:
        return self.failure is None and not self.is_closed

    def ask(self, op: str, **fields: Any) -> Frame:
        """Sends a request and waits for its answer.

        :raises ClericError, OSError: as the answer says; ProcessError ERR_PROCESS_FAILED if the process ends meanwhile
        """
        pending = self._register(None, 0)
        try:
            self._outgoing.put(encode_frame({"id": pending.id, "op": op, **fields}))
            return pending.future.result()
        except BaseException:
            self._abandon(pending)
            raise

    def tell(self, op: str, **fields: Any) -> None:
        """Sends a request whose answer is of no interest. Safe anywhere, in ``__del__`` too."""
        self._outgoing.put(encode_frame({"id": next(self._ids), "op": op, **fields}))

    def pixels(self, slide: int, regions: list[tuple[int, ...]], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """The pixels of regions, one behind the other.

        :param regions: x, y, level, width and height of each
        :param shape: of the array, as many bytes as the regions have
        """
        size = int(np.prod(shape))
        block = self._memory.take(size) if self._memory else None
        try:
            pending = self._register(block, size)
        except BaseException:
            self._give_back(block, size)
            raise
        place = {} if block is None else {"at": block}
        try:
            request = {"id": pending.id, "op": "regions", "slide": slide, "regions": regions, **place}
            self._outgoing.put(encode_frame(request))
            body = pending.future.result().body
            if self._memory is None or block is None:
                return np.frombuffer(body, np.uint8).reshape(shape)
            try:
                array = self._memory.copy(block, shape)
            except ValueError as error:
                why = "The decoding process ended while pixels were taken over"
                raise ProcessError("ERR_PROCESS_FAILED", why) from error
        except BaseException:
            self._abandon(pending)
            raise
        self._give_back(block, size)
        return array

    def close(self) -> None:
        """Ends the process, and waits until it has ended. Whatever is asked at the moment fails."""
        self.is_closed = True
        self._outgoing.put(None)
        try:
            self._child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def forget(self) -> None:
        """In a forked process: leaves the parent's decoding process alone, and keeps none of its pipes open."""
        self.is_closed = True
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()
        # It is no child of this process, which could not wait for it.
        self._child.returncode = 0
        if self._memory:
            self._memory.forget()

    def _register(self, block: int | None, size: int) -> _Pending:
        pending = _Pending(next(self._ids), block, size)
        with self._lock:
            if self.failure is not None:
                raise ProcessError(self.failure.code, str(self.failure))
            if self.is_closed:
                raise ProcessError("ERR_PROCESS_FAILED", "The decoding process was ended by cleric.shutdown()")
            self._pending[pending.id] = pending
        return pending

    def _abandon(self, pending: _Pending) -> None:
        """After a failure, or an interrupt: if there is no answer yet, pixels may still be written to their place."""
        with self._lock:
            is_answered = pending.id not in self._pending
            pending.is_abandoned = not is_answered
        if is_answered:
            self._give_back(pending.block, pending.size)
        else:
            self.tell("cancel", request=pending.id)

    def _give_back(self, block: int | None, size: int) -> None:
        if self._memory is not None and block is not None:
            self._memory.give_back(block, size)

    def _write(self) -> None:
        """A thread of its own, which no KeyboardInterrupt can stop in the middle of a frame."""
        stdin = self._child.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while True:
                frame = self._outgoing.get()
                if frame is None:
                    break
                rest = memoryview(frame)
                while rest:
                    rest = rest[stdin.write(rest) :]
        with contextlib.suppress(OSError, ValueError):
            stdin.close()

    def _read(self) -> None:
        stdout = self._child.stdout
        assert stdout is not None
        why: ProcessError | None = None
        try:
            while True:
                frame = read_frame(stdout)  # type: ignore[arg-type]
                if frame is None:
                    break
                self._take(frame)
        except ProcessError as error:
            why = error
            self._child.kill()
        except (OSError, ValueError):
            pass
        except Exception as error:  # such as a MemoryError
            # Without this thread nobody would ever be answered.
            why = ProcessError("ERR_PROCESS_FAILED", f"An answer of the decoding process can't be taken in: {error!r}")
            self._child.kill()
        self._fail(why)

    def _take(self, frame: Frame) -> None:
        if "protocol" in frame.header:
            self._greeting.set_result(frame.header)
            return
        with self._lock:
            pending = self._pending.pop(frame.header.get("id"), None)  # type: ignore[arg-type]
        if pending is None:
            return
        if pending.is_abandoned:
            self._give_back(pending.block, pending.size)
            # An interrupt came while it was opened: nobody has the number to close it by.
            slide = frame.header.get("result", {}).get("slide")
            if slide is not None:
                self.tell("close", slide=slide)
        elif "error" in frame.header:
            pending.future.set_exception(error_of(frame.header["error"]))
        else:
            pending.future.set_result(frame)

    def _listen(self) -> None:
        """Keeps the end of what it says to people, for the message if it dies."""
        stderr = self._child.stderr
        assert stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while True:
                text = stderr.read(_SAID_BYTES)
                if not text:
                    return
                self._said = (self._said + text)[-_SAID_BYTES:]

    def _fail(self, why: ProcessError | None) -> None:
        """The process has ended, or is of no use: all who wait learn it."""
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._child.wait(_END_SECONDS)
        self._listener.join(1)
        if why is None:
            how = "" if status is None else f" by signal {-status}" if status < 0 else f" with status {status}"
            said = self._said.decode("utf-8", "replace").strip()
            what = f"The decoding process, {' '.join(self._argv)} pipe, ended{how}"
            why = ProcessError("ERR_PROCESS_FAILED", f"{what}; it said:\n{said}" if said else what)
        with self._lock:
            self.failure = why
            waiting = list(self._pending.values())
            self._pending.clear()
        self._outgoing.put(None)
        if self._memory:
            self._memory.close()
        if not self._greeting.done():
            self._greeting.set_exception(why)
        for pending in waiting:
            if not pending.is_abandoned:
                pending.future.set_exception(ProcessError(why.code, str(why)))


class _Current:
    """The decoding process of this process of Python, and how it is started."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        # Held while a process is started, and for a moment while this one forks: the child must know of every pipe.
        self.spawning = threading.Lock()
        self.starting = threading.Lock()
        self.process: DecodingProcess | None = None
        self.started: list[DecodingProcess] = []

    def get(self) -> DecodingProcess:
        process = self.process
        if process is not None and process.is_usable:
            return process
        with self.starting:
            process = self.process
            if process is not None and process.is_usable:
                return process
            argv = command(self.settings.get("home"), self.settings.get("node"))
            with self.spawning:
                made = DecodingProcess(argv, self.settings.get("memory_bytes", _MEMORY_BYTES))
                self.started = [each for each in self.started if each.is_usable] + [made]
            made.start()
            self.process = made
            return made

    def shutdown(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.close()


_current = _Current({})


def current() -> DecodingProcess:
    """The process that decodes, started if there is none or if it has died.

    :raises ProcessError: if it can't be started
    """
    return _current.get()


def configure(*, home: str | None = None, node: str | None = None, memory_bytes: int = _MEMORY_BYTES) -> None:
    """Says how the decoding process is started; one that runs is ended first.

    :param home: folder of the npm package cleric, or one where it is installed; default: the variable CLERIC_HOME,
        else the command ``cleric`` on the PATH
    :param node: path of Node.js; default: the variable CLERIC_NODE, else ``node`` on the PATH
    :param memory_bytes: most bytes of pixels that are on their way at a time through shared memory; 0: they come
        through a pipe, as they do where there is no memfd_create (all but Linux)
    """
    shutdown()
    _current.settings.update(home=home, node=node, memory_bytes=memory_bytes)


def shutdown() -> None:
    """Ends the decoding process of this process. The next call that needs one starts it anew; slides stay usable."""
    _current.shutdown()


def _before_fork() -> None:
    _current.spawning.acquire()


def _after_fork_in_parent() -> None:
    _current.spawning.release()


def _after_fork_in_child() -> None:
    global _current
    inherited, _current = _current, _Current(_current.settings)
    for process in inherited.started:
        process.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(shutdown)
