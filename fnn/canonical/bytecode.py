"""What a function computes: its instructions without the places in files, what it captured, the globals it reads."""

import dis
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from fnn.canonical.origin import is_installed

_KINDS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_ITERABLE_COROUTINE
)

_PLACES = ("__doc__", "__firstlineno__", "__static_attributes__")
"""What the body of a class stores of where and how it is written."""


def instructions(code: types.CodeType, constant: Callable[[Any], str]) -> str:
    """The instructions as lines of text, other only where the function does something else.

    File, line numbers, docstring and the names of local variables are not in it. Constants are written by
    ``constant``. That a function has run, which makes CPython specialise its instructions, changes nothing. Another
    minor version of Python has other instructions for the same function.
    """
    arguments = code.co_argcount + code.co_kwonlyargcount
    lines = [
        f"{code.co_argcount} {code.co_posonlyargcount} {code.co_flags & _KINDS} {code.co_varnames[:arguments]}",
        f"{code.co_names} {code.co_cellvars} {code.co_freevars} {code.co_exceptiontable.hex()}",
    ]
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        argument: Any = step.arg
        if following is not None and following.opname == "STORE_NAME" and following.argval in _PLACES:
            argument = None
        elif isinstance(step.argval, types.CodeType):
            argument = instructions(step.argval, constant)
        elif step.opcode in dis.hasconst:  # by the constant, not by its number: the docstring is one that nobody loads
            argument = constant(step.argval)
        lines.append(f"{step.opname} {argument}")
    return "\n".join(lines)


class Unset:
    """What stands for a variable that has no value yet."""


def captured(function: types.FunctionType) -> dict[str, Any]:
    """The variables of the functions around it that a function uses, by name."""
    found: dict[str, Any] = {}
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name, cell in sorted(cells.items()):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            found[name] = Unset
    return found


def globals_read(function: types.FunctionType) -> dict[str, Any]:
    """The globals of its module that a function or one inside it reads, by name; ``settings.RATE`` by that name.

    Attributes are followed where the global is a module of the program itself. What it assigns to is left out: that
    changes as it runs.
    """
    found: dict[str, Any] = {}
    stored: set[str] = set()
    for code in _nested(function.__code__):
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        for place, step in enumerate(steps):
            if step.opname == "STORE_GLOBAL":
                stored.add(step.argval)
            elif step.opname == "LOAD_GLOBAL" and step.argval in function.__globals__:
                name, value = step.argval, function.__globals__[step.argval]
                for after in steps[place + 1 :]:
                    follows = isinstance(value, types.ModuleType) and not is_installed(value.__name__)
                    if not follows or after.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                        break
                    name, value = f"{name}.{after.argval}", getattr(value, after.argval, None)
                found[name] = value
    return {name: found[name] for name in sorted(found) if name.partition(".")[0] not in stored}


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _nested(each)
