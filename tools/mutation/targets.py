"""Where faults are planted: the functions that a backward pass runs and no forward pass does.

Nothing is listed by hand. A function under ``fnn/`` is a target if a row of the table runs it in its backward and no
row runs it in init, forward or apply; so is every method that computes a derivative by its name (``METHODS``), whether
a row runs it or not. Functions that both passes run are left to the tests of the forward: a fault there changes both
sides of every comparison of gradients.
"""

import ast
import functools
import importlib
import inspect
import pkgutil
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fnn
from tools.mutation.operators import NAMES

ROOT = Path(fnn.__file__).parent
METHODS = ("backward", "fold", "terms_backward", "derivative", "slope", "transpose")
PLACES = ("layers/", "combinators/", "losses/", "penalties.py", "layer.py", "backprop.py")
"""Where targets may be, below ``fnn/``; the checkers and reports of gradients have their own tests."""


class Place(NamedTuple):
    """A function, named by its file below ``fnn/`` and its qualified name."""

    file: str
    name: str

    def __str__(self) -> str:
        return f"fnn/{self.file}::{self.name}"


def place_of(code: types.CodeType) -> Place | None:
    """The place of the outermost function around some code, if it is under ``fnn/``."""
    if not code.co_filename.startswith(str(ROOT)):
        return None
    return Place(str(Path(code.co_filename).relative_to(ROOT)), code.co_qualname.partition(".<locals>")[0])


class Calls:
    """The places that a block of code runs, by phase."""

    def __init__(self) -> None:
        self.phase = "forward"
        self.found: dict[str, set[Place]] = {"forward": set(), "backward": set()}
        self._places: dict[types.CodeType, Place | None] = {}

    @contextmanager
    def traced(self) -> Iterator["Calls"]:
        before = sys.getprofile()
        sys.setprofile(self._seen)
        try:
            yield self
        finally:
            sys.setprofile(before)

    def _seen(self, frame: types.FrameType, event: str, argument: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code not in self._places:
                self._places[code] = place_of(code)
            place = self._places[code]
            if place is not None:
                self.found[self.phase].add(place)


@functools.cache
def functions() -> dict[Place, types.FunctionType]:
    """Every function in a module or class under ``PLACES``."""
    found = {}
    for module in _modules():
        for value in vars(module).values():
            owners = [value, *vars(value).values()] if isinstance(value, type) else [value]
            for each in owners:
                function = _plain(each)
                place = None if function is None else place_of(function.__code__)
                if place is not None and place.file.startswith(PLACES):
                    found[place] = function
    return found


def named() -> set[Place]:
    """The methods whose name says that they compute a derivative."""
    return {place for place in functions() if place.name.rpartition(".")[2] in METHODS and "." in place.name}


@functools.cache
def source(place: Place) -> ast.FunctionDef:
    """The syntax tree of a function, without its decorators and annotations."""
    node: Any = _tree(place.file)
    for name in place.name.split("."):
        node = next(each for each in node.body if getattr(each, "name", None) == name)
    return node


@contextmanager
def planted(place: Place, function: ast.FunctionDef) -> Iterator[None]:
    """Replaces a function of the library by this source within a block."""
    target = functions()[place]
    code, free = target.__code__, target.__code__.co_freevars
    if "__class__" in free:  # keeps it in the closure even if the fault removed its use
        function.body.insert(0, ast.Expr(ast.Name("__class__", ast.Load())))
    function.decorator_list = []
    body: ast.stmt = function
    for owner in reversed(place.name.split(".")[:-1]):
        body = ast.ClassDef(owner, [], [], [body], [])
    module = ast.fix_missing_locations(ast.Module([body], []))
    changed = _code_named(compile(module, code.co_filename, "exec"), place.name)
    target.__globals__.update(NAMES)
    target.__code__ = changed
    try:
        yield
    finally:
        target.__code__ = code
        for name in NAMES:
            del target.__globals__[name]


def _modules() -> Iterator[types.ModuleType]:
    for found in pkgutil.walk_packages([str(ROOT)], "fnn."):
        name = found.name.removeprefix("fnn.").replace(".", "/")
        if f"{name}/".startswith(PLACES) or f"{name}.py" in PLACES:
            yield importlib.import_module(found.name)


def _plain(value: Any) -> types.FunctionType | None:
    if isinstance(value, property):
        value = value.fget
    value = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else None
    return value if isinstance(value, types.FunctionType) else None


@functools.cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text())


def _code_named(code: types.CodeType, name: str) -> types.CodeType:
    found = _find(code, lambda each: each.co_qualname == name)
    if found is None:
        raise LookupError(f"the compiled code has no function {name}")
    return found


def _find(code: types.CodeType, wanted: Callable[[types.CodeType], bool]) -> types.CodeType | None:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            found = each if wanted(each) else _find(each, wanted)
            if found is not None:
                return found
    return None
