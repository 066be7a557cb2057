"""The fingerprint that a resumed run must match: the parts of a run as text and digests."""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.canonical.digest import array_text, described, sha256
from fnn.canonical.text import canonical
from fnn.paths import named_leaves
from fnn.train.data import is_arrays

FORMAT = 2
"""The version of what ``fingerprint`` returns and of the totals in a checkpoint; from 2 on, sums have two parts."""

KEPT, AROUND = 10_000, 60
"""How many characters of a part are kept, and how many are shown on each side of a difference."""


class Data(NamedTuple):
    """A part that is data: a description, and a digest of every leaf by path."""

    shown: str
    values: dict[str, str]


def data_digest(data: Any, *, first: bool = False) -> Data:
    """Data as a part of a fingerprint: every byte of every leaf, by ``array_digest``.

    ``data`` is ``(inputs, targets)``, ``(inputs, targets, weights)``, or a list of such batches. For any other
    iterable, only the first batch is known before the run: give that, with ``first=True``.

    >>> data_digest((np.zeros((60, 3)), np.zeros(60))).shown
    '60 samples of inputs float64[3], targets float64[]'
    >>> data_digest((np.zeros((8, 3)), np.zeros(8)), first=True).shown
    'batches, the first one 8 samples of inputs float64[3], targets float64[]'
    """
    batches = [data] if is_arrays(data) else list(data)
    trees = [dict(zip(("inputs", "targets", "weights"), batch, strict=False)) for batch in batches]
    parts = [named_leaves(jax.tree.map(_array, tree)) for tree in trees]
    samples = sum(np.shape(next(iter(part.values())))[0] for part in parts)
    leaves = ", ".join(f"{path} {leaf.dtype}[{','.join(map(str, leaf.shape[1:]))}]" for path, leaf in parts[0].items())
    values: dict[str, str] = {}
    for part in parts:
        for path, leaf in part.items():
            own = sha256(_numbers(leaf))
            values[path] = sha256(values[path] + own) if path in values else own
    how = "batches, the first one " if first else "" if is_arrays(data) else f"{len(parts)} batches, together "
    return Data(f"{how}{samples} samples of {leaves}", values)


def fingerprint(**parts: Any) -> dict[str, Any]:
    """The parts of a run, ready for JSON: text to show and digests to compare; ``Data`` parts are kept as they are.

    >>> import fnn
    >>> ours = fingerprint(optimizer=fnn.optim.sgd(0.1), epochs=3)
    >>> ours["parts"]["optimizer"]["shown"], ours["parts"]["epochs"]["text"]
    ('sgd(0.1)', '3')
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    described: dict[str, Any] = {}
    not_compared: list[str] = []
    for name, value in parts.items():
        if isinstance(value, Data):
            described[name] = {"shown": value.shown, "values": value.values, "digest": sha256(json.dumps(value))}
            continue
        text, code, others = canonical(value)
        part = {"shown": _shown(value, text)[:KEPT], "text": text[:KEPT], "digest": sha256(text), "code": code}
        described[name] = part
        not_compared += [f"{name}: {other}" for other in others]
    return {"version": FORMAT, "python": python, "parts": described, "not_compared": not_compared}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Describes the parts that differ; empty if none do.

    The code of functions is compared only if both come from the same version of Python: see ``not_comparable``.

    >>> import fnn
    >>> one, other = fnn.optim.momentum(0.1), fnn.optim.nesterov(0.1)
    >>> differences(fingerprint(optimizer=one, shuffle=True), fingerprint(optimizer=other, shuffle=True))
    ['optimizer: momentum(0.1), now nesterov(0.1)']
    """
    if theirs.get("version") != ours["version"]:
        return [f"the fingerprint: format {theirs.get('version')}, now {ours['version']}, which cannot be compared"]
    before, now = theirs["parts"], ours["parts"]
    found = []
    for name in {**before, **now}:
        then, here = before.get(name, _ABSENT), now.get(name, _ABSENT)
        if then["digest"] != here["digest"]:
            found.append(f"{name}: {_difference(then, here)}")
        elif theirs["python"] == ours["python"] and (other := _changed(then, here, "code")):
            found.append(f"{name}: the code of {', '.join(other)} differs")
    return found


def not_comparable(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None = None) -> list[str]:
    """Describes what cannot be compared, for one warning. ``theirs`` may come from another version of Python."""
    found = list(ours["not_compared"])
    if theirs is not None and theirs.get("version") == ours["version"] and theirs["python"] != ours["python"]:
        for name, part in ours["parts"].items():
            if code := part.get("code"):
                versions = f"saved by Python {theirs['python']}, now {ours['python']}"
                found.append(f"{name}: the code of {', '.join(code)} comes from another Python, {versions}")
    return found


_ABSENT = {"shown": "nothing", "text": "nothing", "digest": ""}


def _difference(then: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    if then["shown"] != here["shown"]:
        return _around(then["shown"], here["shown"])
    if "values" in then and "values" in here:
        return f"the values of {', '.join(_changed(then, here, 'values'))} differ"
    if then["text"] != here["text"]:
        return _around(then["text"], here["text"])
    return f"they differ after the first {KEPT} characters of {here['shown'][:AROUND]}…"


def _changed(then: Mapping[str, Any], here: Mapping[str, Any], what: str) -> list[str]:
    before, now = then.get(what, {}), here.get(what, {})
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def _around(then: str, here: str) -> str:
    """Both texts; if they are long, the part around the first difference."""
    if max(len(then), len(here)) > 4 * AROUND:
        same = next(
            (at for at, (a, b) in enumerate(zip(then, here, strict=False)) if a != b), min(len(then), len(here))
        )
        then, here = _cut(then, same), _cut(here, same)
    return f"{then}, now {here}"


def _cut(text: str, place: int) -> str:
    start, end = max(0, place - AROUND), place + AROUND
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _shown(value: Any, text: str) -> str:
    """The call that makes a value of fnn, without addresses, which change between processes; else its text."""
    if not str(getattr(type(value).__repr__, "__module__", "")).startswith("fnn."):
        return text
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    except Exception:  # the repr of a user's field may fail
        return text


def _array(leaf: Any) -> Any:
    return leaf if isinstance(leaf, jax.Array) else np.asanyarray(leaf)


def _numbers(leaf: Any) -> str:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return f"{described(leaf)} of several processes"
    return array_text(leaf)
