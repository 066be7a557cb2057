"""What a function computes: its instructions without source positions, its captured variables, the globals it reads."""

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
"""What a class body stores about its source, not its behaviour."""


def instructions(code: types.CodeType, constant: Callable[[Any], str]) -> str:
    """The instructions as lines of text, which differ only where the behaviour of the function differs.

    File, line numbers, docstring and the names of local variables are left out. ``constant`` writes the constants.
    The text does not change when the function runs and CPython specialises its instructions. Another minor version
    of Python has other instructions for the same function.
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
        elif step.opcode in dis.hasconst:  # by value: the unused docstring shifts the indices
            argument = constant(step.argval)
        lines.append(f"{step.opname} {argument}")
    return "\n".join(lines)


class Unset:
    """The stand-in for a variable that has no value yet."""


def captured(function: types.FunctionType) -> dict[str, Any]:
    """The variables that a function captures from enclosing functions, by name."""
    found: dict[str, Any] = {}
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name, cell in sorted(cells.items()):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            found[name] = Unset
    return found


def globals_read(function: types.FunctionType) -> dict[str, Any]:
    """The globals that a function, or one nested in it, reads, by name.

    Attributes of modules of the program itself are followed, and named ``settings.RATE``. Globals that the function
    assigns to are left out: they change as it runs.
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
