"""The kinds of fault: rewritings of one node of a syntax tree that a person could have written by mistake.

An operator maps a node to possible replacements. Raised errors and their conditions are left alone: the tests of bad
input cover them.
"""

import ast
import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

Path = tuple[tuple[str, int | None], ...]
"""The path from a function to one of its nodes: fields, with an index if the field is a list."""

Operator = Callable[[ast.AST], Iterator[ast.AST | None]]
"""Yields replacements of a node; ``None`` removes a statement."""

REDUCTIONS = {"sum": "mean", "mean": "sum"}
PAIRS = {"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum"}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
MODULES = ("jnp", "lax", "jax", "np", "math")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One rewriting of a function."""

    operator: str
    line: int
    before: str
    after: str
    path: Path
    node: ast.AST | None

    def planted(self, function: ast.FunctionDef) -> ast.FunctionDef:
        """The function with the fault in it."""
        function = copy.deepcopy(function)
        parent, (field, index) = _at(function, self.path[:-1]), self.path[-1]
        if index is None:
            setattr(parent, field, self.node)
        elif self.node is None:
            getattr(parent, field)[index] = ast.Pass()
        else:
            getattr(parent, field)[index] = self.node
        return ast.fix_missing_locations(function)

    def readings(self, function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
        """The source before and after, of the node, then of each enclosing node, outwards."""
        yield self.before, self.after
        changed = self.planted(function)
        for end in range(len(self.path) - 1, 0, -1):
            yield _text(_at(function, self.path[:end])), _text(_at(changed, self.path[:end]))


def mutations(function: ast.FunctionDef) -> Iterator[Mutation]:
    """Every rewriting of a function, in the order of its source."""
    operators = OPERATORS | {"wrong key": functools.partial(_other_key, _keys(function))}
    for path, node in _sites(function, ()):
        for name, operator in operators.items():
            for new in operator(node):
                line = getattr(node, "lineno", function.lineno)
                if new is not None:
                    new = ast.fix_missing_locations(ast.copy_location(new, node))
                before, after = _text(node), "" if new is None else _text(new)
                if before != after:
                    yield Mutation(name, line, before, after, path, new)


def _text(node: ast.AST) -> str:
    """The source of a node; for a statement with a body, its first line."""
    return ast.unparse(node).strip().splitlines()[0]


def _at(node: Any, path: Path) -> Any:
    for field, index in path:
        node = getattr(node, field)
        node = node if index is None else node[index]
    return node


def _sites(node: ast.AST, path: Path) -> Iterator[tuple[Path, ast.AST]]:
    for field, value in ast.iter_fields(node):
        if field in ("decorator_list", "annotation", "returns", "args") and not isinstance(node, ast.Call):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            step = (*path, (field, index))
            yield step, child
            yield from _sites(child, step)


def _is_left_alone(node: ast.AST) -> bool:
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    check = isinstance(node, ast.If) and all(isinstance(each, ast.Raise) for each in node.body) and not node.orelse
    return docstring or check or isinstance(node, ast.Raise | ast.JoinedStr | ast.operator | ast.cmpop)


# ---- the operators


def dropped_term(node: ast.AST) -> Iterator[ast.AST]:
    """a + b → a or b,  a − b → a or b"""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from (node.left, node.right)


def flipped_sign(node: ast.AST) -> Iterator[ast.AST]:
    """a + b ↔ a − b,  −a → a"""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield ast.BinOp(node.left, other, node.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def divided(node: ast.AST) -> Iterator[ast.AST]:
    """a · b ↔ a / b"""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        if any(isinstance(each, ast.Tuple | ast.List) for each in (node.left, node.right)):
            return  # a repeated tuple
        yield ast.BinOp(node.left, ast.Div() if isinstance(node.op, ast.Mult) else ast.Mult(), node.right)


def dropped_factor(node: ast.AST) -> Iterator[ast.AST]:
    """a · b → a or b,  a / b → a,  a ** b → a"""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv | ast.Pow | ast.Mod):
        yield node.left
        if isinstance(node.op, ast.Mult):
            yield node.right


def transposed(node: ast.AST) -> Iterator[ast.AST]:
    """x.T, x.mT, x.swapaxes(…), x.transpose(…), x.conj() → x;  a @ b → b @ a;  einsum with letters exchanged"""
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT"):
        yield node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield ast.BinOp(node.right, node.op, node.left)
    name = _name(node)
    if isinstance(node, ast.Call) and name in ("swapaxes", "transpose", "moveaxis", "rev", "flip", "roll"):
        yield _first_argument(node)
    if isinstance(node, ast.Call) and name == "einsum" and node.args and isinstance(node.args[0], ast.Constant):
        for subscripts in _other_subscripts(str(node.args[0].value)):
            yield ast.Call(node.func, [ast.Constant(subscripts), *node.args[1:]], node.keywords)
    if isinstance(node, ast.Call) and name == "dot_general" and len(node.args) > 2:
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)


def missing_sum(node: ast.AST) -> Iterator[ast.AST]:
    """x.sum(axes) → the first entry along the axes;  sum ↔ mean"""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in REDUCTIONS:
        return
    yield ast.Call(ast.Attribute(node.func.value, REDUCTIONS[node.func.attr], ast.Load()), node.args, node.keywords)
    if node.func.attr == "sum":
        receiver = [] if isinstance(node.func.value, ast.Name) and node.func.value.id in MODULES else [node.func.value]
        yield ast.Call(ast.Name("__first_of__", ast.Load()), [*receiver, *node.args], node.keywords)


def changed_integer(node: ast.AST) -> Iterator[ast.AST]:
    """n → n + 1 and n − 1: sizes, pads, axes, places"""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))


def changed_float(node: ast.AST) -> Iterator[ast.AST]:
    """c → 2c, c → 1"""
    if isinstance(node, ast.Constant) and type(node.value) is float:
        yield from (ast.Constant(2 * node.value if node.value else 1.0), ast.Constant(1.0))


def wrong_entry(node: ast.AST) -> Iterator[ast.AST]:
    """a, b = f(x) → b, a = f(x), in loops too;  not x[0], x[1] = …, where the integers are changed"""
    targets = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple):
        targets = node.targets[0]
    elif isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Tuple):
        targets = node.target
    if targets is None:
        return
    for place in range(len(targets.elts) - 1):
        one, other = targets.elts[place : place + 2]
        if not isinstance(one, ast.Name) or not isinstance(other, ast.Name):
            continue
        changed = copy.copy(node)
        elements = [*targets.elts[:place], other, one, *targets.elts[place + 2 :]]
        if isinstance(changed, ast.Assign):
            changed.targets = [ast.Tuple(elements, ast.Store())]
        else:
            changed.target = ast.Tuple(elements, ast.Store())  # type: ignore[attr-defined]
        yield changed


def wrong_selection(node: ast.AST) -> Iterator[ast.AST]:
    """where(c, a, b) → where(c, b, a), a, b;  a if c else b → b if c else a, a, b;  if c → if not c;  ~m → m"""
    if isinstance(node, ast.Call) and _name(node) in ("where", "select") and len(node.args) == 3:
        condition, one, other = node.args
        yield from (ast.Call(node.func, [condition, other, one], node.keywords), one, other)
    if isinstance(node, ast.IfExp):
        yield from (ast.IfExp(node.test, node.orelse, node.body), node.body, node.orelse)
    if isinstance(node, ast.If):
        changed = copy.copy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield changed
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert | ast.Not):
        yield node.operand


def changed_comparison(node: ast.AST) -> Iterator[ast.AST]:
    """a < b → a <= b, a >= b; and so on"""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARISONS.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [other()], node.comparators)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        yield from (node.left, node.right)
        yield ast.BinOp(node.left, ast.BitOr() if isinstance(node.op, ast.BitAnd) else ast.BitAnd(), node.right)
    if isinstance(node, ast.BoolOp):
        yield from node.values


def wrong_result(node: ast.AST) -> Iterator[ast.AST]:
    """A returned entry, or an entry of a dict, zeroed;  two of them exchanged"""
    if isinstance(node, ast.Return) and node.value is not None:
        entries = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        for place, entry in enumerate(entries):
            if isinstance(entry, ast.Constant) or (isinstance(entry, ast.Dict) and not entry.keys):
                continue
            values = [*entries[:place], _zeros(entry), *entries[place + 1 :]]
            yield ast.Return(ast.Tuple(values, ast.Load()) if isinstance(node.value, ast.Tuple) else values[0])
    if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        for place, value in enumerate(node.values):
            yield ast.Dict(node.keys, [*node.values[:place], _zeros(value), *node.values[place + 1 :]])
        for place in range(len(node.values) - 1):
            one, other = node.values[place : place + 2]
            yield ast.Dict(node.keys, [*node.values[:place], other, one, *node.values[place + 2 :]])
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        yield ast.Assign(node.targets, _zeros(node.value))


def flipped_option(node: ast.AST) -> Iterator[ast.AST]:
    """f(…, reverse=True) → f(…, reverse=False), for every option given as True or False, except ``strict`` of zip"""
    if isinstance(node, ast.keyword) and node.arg != "strict" and isinstance(node.value, ast.Constant):
        value = node.value.value
        if isinstance(value, bool):
            yield ast.keyword(node.arg, ast.Constant(not value))


def dropped_call(node: ast.AST) -> Iterator[ast.AST]:
    """jnp.f(x) → x, for every function of one argument;  max ↔ min"""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if len(node.args) == 1 and not node.keywords and _root(node.func) in MODULES:
            yield node.args[0]
        if node.func.attr in PAIRS:
            yield ast.Call(ast.Attribute(node.func.value, PAIRS[node.func.attr], ast.Load()), node.args, node.keywords)


def dropped_statement(node: ast.AST) -> Iterator[None]:
    """x += …, x = f(x), x[…] = … left out"""
    if isinstance(node, ast.AugAssign):
        yield None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        used = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
        if isinstance(target, ast.Subscript) or (isinstance(target, ast.Name) and target.id in used):
            yield None


def _other_key(keys: dict[str, list[str]], node: ast.AST) -> Iterator[ast.AST]:
    """cache["a"] → cache["b"], where the function reads both"""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.ctx, ast.Load):
        known = keys.get(ast.unparse(node.value), [])
        if node.slice.value in known and len(known) > 1:
            other = known[(known.index(node.slice.value) + 1) % len(known)]
            yield ast.Subscript(node.value, ast.Constant(other), node.ctx)


def _keys(function: ast.FunctionDef) -> dict[str, list[str]]:
    """The names that a function reads from each dict, in order."""
    keys: dict[str, list[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.ctx, ast.Load):
            found = keys.setdefault(ast.unparse(node.value), [])
            if isinstance(node.slice.value, str) and node.slice.value not in found:
                found.append(node.slice.value)
    return keys


def dropped_cast(node: ast.AST) -> Iterator[ast.AST]:
    """x.astype(…) → x"""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "astype":
        yield node.func.value


OPERATORS: dict[str, Operator] = {
    "dropped term": dropped_term,
    "flipped sign": flipped_sign,
    "× for ÷": divided,
    "dropped factor": dropped_factor,
    "transposed": transposed,
    "missing sum": missing_sum,
    "integer": changed_integer,
    "float": changed_float,
    "wrong entry": wrong_entry,
    "wrong selection": wrong_selection,
    "comparison": changed_comparison,
    "wrong result": wrong_result,
    "flipped option": flipped_option,
    "dropped call": dropped_call,
    "dropped statement": dropped_statement,
    "dropped cast": dropped_cast,
}


# ---- parts of the operators


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return ""


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return getattr(node, "id", "")


def _first_argument(call: ast.Call) -> ast.expr:
    method = isinstance(call.func, ast.Attribute) and _root(call.func) not in MODULES
    return call.func.value if method else call.args[0]  # type: ignore[attr-defined]


def _other_subscripts(subscripts: str) -> Iterator[str]:
    """The subscripts with two neighbouring letters of one operand, or of the result, exchanged."""
    inputs, _, output = subscripts.partition("->")
    parts = [*inputs.split(","), output]
    for place, part in enumerate(parts):
        for index in range(len(part) - 1):
            if part[index].isalpha() and part[index + 1].isalpha():
                changed = part[:index] + part[index + 1] + part[index] + part[index + 2 :]
                *first, last = [*parts[:place], changed, *parts[place + 1 :]]
                yield f"{','.join(first)}->{last}"


def _zeros(value: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("__zeros_of__", ast.Load()), [value], [])


def _zeros_of(tree: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, tree)


def _first_of(x: jax.Array, axis: Any = None, keepdims: bool = False, **_: Any) -> jax.Array:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    for each in sorted((each % x.ndim for each in axes), reverse=True):
        x = x.take(jnp.array([0]) if keepdims else 0, each)
    return x


NAMES = {"__zeros_of__": _zeros_of, "__first_of__": _first_of}
"""Functions that planted code may call; they are in the globals of its module while it is planted."""
