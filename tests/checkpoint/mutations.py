"""Ways to mutate a checkpoint: anyhow, or cunningly, with a checksum that fits what was done to the header."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from fnn.checkpoint.tensor_file import CODES, DIGITS, ZEROS

Random = np.random.Generator


def value(random: Random) -> Any:
    """Something that JSON can say and that nobody expects."""
    values = [
        None, True, False, -1, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, 1.5, 3.0, float("nan"),
        float("inf"), "", "é", "\ud800", "F32", "U8", "F8_E4M3", "0" * 64, "__import__('os')", [], {}, [[]], [-1],
        [2**62, 4], {"a": {}}, [None],
    ]  # fmt: skip
    return values[random.integers(len(values))]


def some_bytes(random: Random, longest: int = 64) -> bytes:
    size = int(random.integers(1, longest))
    return [random.bytes(size), bytes(size), b"\xff" * size, b" " * size][random.integers(4)]


def place(random: Random, content: bytes) -> int:
    """Anywhere, more often near the beginning."""
    return int(random.integers(max(1, min(len(content), int(4 ** random.uniform(1, 8))))))


def flipped(random: Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(random.integers(1, 9)):
        data[place(random, content)] ^= 1 << int(random.integers(8))
    return bytes(data)


def overwritten(random: Random, content: bytes) -> bytes:
    at, run = place(random, content), some_bytes(random)
    return (content[:at] + run + content[at + len(run) :])[: len(content)]


def inserted(random: Random, content: bytes) -> bytes:
    at = place(random, content)
    return content[:at] + some_bytes(random) + content[at:]


def removed(random: Random, content: bytes) -> bytes:
    at = place(random, content)
    return content[:at] + content[at + int(random.integers(1, 64)) :]


def truncated(random: Random, content: bytes) -> bytes:
    return content[: int(random.integers(len(content)))]


def repeated(random: Random, content: bytes) -> bytes:
    start, stop = sorted((place(random, content), place(random, content)))
    return content[:stop] + content[start:]


def exchanged(random: Random, content: bytes) -> bytes:
    a, b, c = sorted(int(each) for each in random.integers(len(content) + 1, size=3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def other_length(random: Random, content: bytes) -> bytes:
    """The number before the header."""
    length = int.from_bytes(content[:8], "little")
    lengths = [0, 1, length - 8, length + 8, len(content), len(content) - 8, 10**8, 2**31, 2**63, 2**64 - 1]
    return lengths[random.integers(len(lengths))].to_bytes(8, "little") + content[8:]


def other_digits(random: Random, content: bytes) -> bytes:
    digits = content[DIGITS]
    changed = [digits.upper(), ZEROS, digits[::-1], b'"' * 64, digits[1:] + b"g"][random.integers(5)]
    return content[: DIGITS.start] + changed + content[DIGITS.stop :]


def forged(header: bytes, data: bytes, length: int | None = None) -> bytes:
    """A file with a checksum that holds, as far as there is room for one."""
    content = (len(header) if length is None else length).to_bytes(8, "little") + header + data
    if len(content) < DIGITS.stop:
        return content
    digest = hashlib.sha256(content[: DIGITS.start] + ZEROS + content[DIGITS.stop :])
    return content[: DIGITS.start] + digest.hexdigest().encode() + content[DIGITS.stop :]


def parts(content: bytes) -> tuple[bytes, bytes]:
    stop = 8 + int.from_bytes(content[:8], "little")
    return content[8:stop], content[stop:]


def dumped(header: Any) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return text + b" " * (-len(text) % 8)


def forged_bytes(random: Random, content: bytes) -> bytes:
    """The bytes of the header altered, and its length and the checksum made to fit."""
    header, data = parts(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(len(header)))
        header = [
            lambda h, at: h[:at] + random.bytes(1) + h[at + 1 :],
            lambda h, at: h[:at] + bytes([h[at] ^ 1]) + h[at + 1 :],
            lambda h, at: h[:at] + b'0123456789 -+.,:"[]{}\\enulltrufas'[random.integers(32) :][:1] + h[at + 1 :],
            lambda h, at: h[:at] + b" " + h[at:],
            lambda h, at: h[:at] + h[at + 1 :],
            lambda h, at: h[:at] + b"\xff\xfe" + h[at:],
            lambda h, at: h.replace(b'"shape"', b'"sh\\u0061pe"', 1),
        ][random.integers(7)](header, at)
    padding = b" " * (-len(header) % 8) if random.integers(2) else b""
    return forged(header + padding, data)


def forged_data(random: Random, content: bytes) -> bytes:
    """More or fewer arrays than the header describes, and the checksum made to fit."""
    header, data = parts(content)
    return forged(header, [data + some_bytes(random), data[: -int(random.integers(1, 20))]][random.integers(2)])


def forged_length(random: Random, content: bytes) -> bytes:
    header, data = parts(content)
    lengths = [0, 1, len(header) - 8, len(header) + 8, len(header) + len(data), 10**8, 2**63, 2**64 - 1]
    return forged(header, data, lengths[random.integers(len(lengths))])


def forged_entry(random: Random, content: bytes) -> bytes:
    """One thing that the header says of an array is another, and the checksum made to fit."""
    text, data = parts(content)
    header = json.loads(text)
    names = [name for name in header if name != "__metadata__"]
    name, other = (names[random.integers(len(names))] for _ in range(2))
    entry = header[name]
    shape, offsets, codes = entry["shape"], entry["data_offsets"], [*CODES.values(), "F8_E4M3", "F4", "I128"]
    by = int(random.integers(-9, 9))
    change: list[Callable[[], Any]] = [
        lambda: entry.update(dtype=codes[random.integers(len(codes))]),
        lambda: entry.update(dtype=value(random)),
        lambda: entry.update(shape=shape[::-1]),
        lambda: entry.update(shape=[*shape, 1]),
        lambda: entry.update(shape=[1, *shape]),
        lambda: entry.update(shape=[*shape, 0, 2**62]),
        lambda: entry.update(shape=[-n for n in shape]),
        lambda: entry.update(shape=[float(n) for n in shape]),
        lambda: entry.update(shape=[value(random), *shape[1:]]),
        lambda: entry.update(shape=value(random)),
        lambda: entry.update(shape=[n * 2**40 for n in shape]),
        lambda: entry.update(data_offsets=[offsets[0] + by, offsets[1] + by]),
        lambda: entry.update(data_offsets=[offsets[0], offsets[1] + by]),
        lambda: entry.update(data_offsets=offsets[::-1]),
        lambda: entry.update(data_offsets=[-offsets[1], -offsets[0]]),
        lambda: entry.update(data_offsets=[offsets[0], 2**62]),
        lambda: entry.update(data_offsets=value(random)),
        lambda: entry.update(data_offsets=header[other]["data_offsets"]),
        lambda: entry.pop(["dtype", "shape", "data_offsets"][random.integers(3)]),
        lambda: entry.update({str(value(random)): value(random)}),
        lambda: header.update({name: value(random)}),
        lambda: header.pop(name),
        lambda: header.update({name + "x": header.pop(name)}),
        lambda: header.update({f"new_{by}": {"dtype": "F32", "shape": [0], "data_offsets": [len(data), len(data)]}}),
        lambda: header.update({name: header[other], other: header[name]}),
        lambda: header.update({name: header.pop(name)}),
        lambda: header["__metadata__"].update(other=str(by)),
        lambda: header.update(__metadata__=value(random)),
        lambda: header.update(__metadata__=header.pop("__metadata__")),
    ]
    for _ in range(random.integers(1, 3)):
        with_errors_ignored(change[random.integers(len(change))])
    return forged(dumped(header), data)


def forged_duplicate(random: Random, content: bytes) -> bytes:
    """A name stands twice in the header, with what was said of it or with something else."""
    text, data = parts(content)
    header = json.loads(text)
    name = list(header)[random.integers(len(header))]
    again = header[name] if random.integers(2) else {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}
    second = json.dumps({name: again}, separators=(",", ":"), ensure_ascii=False).encode()[1:-1]
    text = text.rstrip()[:-1] + b"," + second + b"}"
    return forged(text + b" " * (-len(text) % 8), data)


def forged_notes(random: Random, content: bytes) -> bytes:
    """The notes say something else, and the checksum made to fit."""
    text, data = parts(content)
    header = json.loads(text)
    notes = json.loads(header["__metadata__"]["fnn_checkpoint"])
    names = [name for name in header if name != "__metadata__"]
    name, key = names[random.integers(len(names))], list(notes)[random.integers(len(notes))]
    change: list[Callable[[], Any]] = [
        lambda: notes.update({key: value(random)}),
        lambda: notes.pop(key),
        lambda: notes.update({key: notes.pop(key)}),
        lambda: notes.update(more=value(random)),
        lambda: notes["float8"].update({name: ["float8_e5m2", "float32", value(random)][random.integers(3)]}),
        lambda: notes["random_keys"].update({name: ["threefry2x32", "rbg", "x", value(random)][random.integers(4)]}),
        lambda: notes["random_keys"].update(nothing="rbg"),
        lambda: notes["metadata"].update(more=value(random)),
        lambda: notes.update(version=[2, True, 1.0, "1", -1][random.integers(5)]),
    ]
    with_errors_ignored(change[random.integers(len(change))])
    written = json.dumps(notes)
    if random.integers(4) == 0:
        written = written.replace('"version"', '"metadata": {}, "version"')
    header["__metadata__"]["fnn_checkpoint"] = written
    return forged(dumped(header), data)


def forged_nesting(random: Random, content: bytes) -> bytes:
    """Lists in lists, in the header or in the notes."""
    text, data = parts(content)
    depth = int(10 ** random.uniform(1, 5))
    opening, closing = [(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")][random.integers(3)]
    nested = opening * depth + b"1" * (opening != b"[") + closing * depth
    if random.integers(2):
        text = text.rstrip()[:-1] + b',"deep":' + nested + b"}"
    else:
        escaped = nested.replace(b'"', b'\\"')
        text = text.replace(b'\\"metadata\\": {', b'\\"metadata\\": {\\"deep\\": ' + escaped + b", ", 1)
    return forged(text + b" " * (-len(text) % 8), data)


def with_errors_ignored(change: Callable[[], Any]) -> None:
    """A second change may not find any more what the first one took away."""
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        change()


MUTATIONS = [
    flipped, overwritten, inserted, removed, truncated, repeated, exchanged, other_length, other_digits, forged_bytes,
    forged_bytes, forged_data, forged_length, forged_entry, forged_entry, forged_duplicate, forged_notes, forged_notes,
    forged_nesting,
]  # fmt: skip
