"""What ends a command, as one line on stderr and an exit code: the boundary for errors."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from entroloop.errors import InputError, Notice, one_line
from entroloop.system.signals import exit_code

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # disk or quota full, or nothing may be written


class _NobodyReadsError(Exception):
    """Whoever read our output has what they wanted."""


class Commands(TyperGroup):
    """The commands; an end of file within one is bad input, where typer takes it for Ctrl-D."""

    def invoke(self, context: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except EOFError as error:
            raise InputError(f"a file ends too early: {one_line(error) or 'it is cut'}") from None
        except MemoryError as error:
            reason = one_line(error) or "the system gave no reason"
            raise InputError(f"there is not enough memory: {reason}") from None
        except UnicodeEncodeError as error:  # the name of a file, in a locale of few letters
            letters = one_line(ascii(error.object[error.start : error.end]), 40)
            raise InputError(
                f"names of files cannot hold {letters} in this locale ({error.encoding}); set "
                "PYTHONUTF8=1, or LC_ALL=C.UTF-8"
            ) from None
        except BrokenPipeError:
            raise _NobodyReadsError from None  # click would end with 1
        except OSError as error:
            raise InputError(_told(error)) from None


def run_to_exit(app: Callable[..., Any]) -> None:
    """Run the command line, and leave the process.

    Exit codes: 0 done, 2 bad input or usage (one line on stderr), 1 a defect; ended by Ctrl-C 130,
    by SIGTERM 143, by SIGHUP 129.
    """
    warnings.formatwarning = _formatted
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except (InputError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        hint = "" if isinstance(error, InputError) else f"; see {_called(error)} --help"
        print(f"entroloop: {one_line(message).rstrip('.')}{hint}", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (BrokenPipeError, _NobodyReadsError):
        _write_nowhere()
        code = 0
    except OSError as error:  # the help, or the last of an answer
        _write_nowhere()
        print(f"entroloop: {_told(error)}", file=sys.stderr)
        code = 2
    if code == 130:  # typer turns Ctrl-C into this code
        print("entroloop: interrupted; the same command goes on from here", file=sys.stderr)
        code = exit_code()
    sys.exit(code or 0)


def _called(error: TyperException) -> str:
    """Return the command that was called in a wrong way."""
    context = getattr(error, "ctx", None)
    return f"entroloop {context.info_name}" if context and context.parent else "entroloop"


def _told(error: OSError) -> str:
    """Return what a system's error means to a user, in one line."""
    where = one_line(error.filename or "the output", 200)
    if error.errno in NO_ROOM:
        return (
            f"{where} cannot be written: {error.strerror}; make room, and the same command goes on "
            "from here"
        )
    return f"{where}: {error.strerror or one_line(error, 200)}"


def _write_nowhere() -> None:
    """Let what is still to be written to standard output disappear."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_as_python_does = warnings.formatwarning


def _formatted(message: Warning | str, category: type[Warning], *where: Any, **line: Any) -> str:
    """Return a warning as text: our own in one line, without the place in the code."""
    if issubclass(category, Notice):
        return f"entroloop: {one_line(message)}\n"
    return _as_python_does(message, category, *where, **line)
