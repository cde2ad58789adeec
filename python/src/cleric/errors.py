"""What goes wrong, as classes with a stable ``code``: those of the Node.js library, and some of this package's own.

What the operating system refuses is Python's own ``OSError`` (``FileNotFoundError``, ``PermissionError`` ...).
"""

from __future__ import annotations

import errno
from typing import Any


class ClericError(Exception):
    """Base of all errors that cleric raises on purpose.

    Codes never change their meaning; messages may be reworded. The codes of each class are those of docs/api.md.

    >>> try:
    ...     slide.read_region((0, 0), 0, (512, 512))
    ... except cleric.ClericError as error:
    ...     if error.code == "ERR_CORRUPT_TILE":
    ...         skip(slide)
    """

    code: str

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[ClericError], tuple[str, str]]:
        # By itself, an exception is made anew of its message alone when it comes from another process.
        return type(self), (self.code, str(self))


class CorruptDataError(ClericError):
    """A tile, archive or model file whose bytes are not what they claim to be."""


class UnsupportedError(ClericError):
    """A file that is sound but that this version, model or build can't take."""


class DeviceError(ClericError):
    """No adapter, a lost device, too small limits, or wrong integers."""


class SlideError(ClericError):
    """A slide that can't be opened or read."""


class AbortedError(ClericError):
    """The work was stopped."""


class ArgumentError(ClericError, ValueError):
    """A wrong argument, ERR_INVALID_ARGUMENT: *Expected WHAT for NAME but received VALUE of type T*."""


class ProcessError(ClericError):
    """The Node.js process that decodes: ERR_CLERIC_MISSING, ERR_NODE_MISSING, ERR_PROCESS_FAILED, ERR_PIPE_PROTOCOL."""


_CLASSES = {
    each.__name__: each
    for each in (CorruptDataError, UnsupportedError, DeviceError, SlideError, AbortedError, ArgumentError)
}


def wrong_argument(what: str, name: str, value: object) -> ArgumentError:
    """The error that says that an argument is wrong."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    message = f"Expected {what} for {name} but received {shown} of type {type(value).__name__}"
    return ArgumentError("ERR_INVALID_ARGUMENT", message)


def error_of(told: Any) -> Exception:
    """The exception for an error as the process tells it: ``{"class", "code", "message"}``."""
    name, code, message = (str(told.get(key, "")) for key in ("class", "code", "message"))
    if name == "SystemError":
        error = OSError(_number_of(code) or 0, message)
        error.code = code  # type: ignore[attr-defined]
        return error
    return _CLASSES.get(name, ClericError)(code, message)


def _number_of(code: str) -> int | None:
    number = getattr(errno, code, None)
    return number if isinstance(number, int) else None
