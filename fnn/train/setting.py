"""What a run that goes on must share with the one that was saved."""

import json
import re
import zlib
from typing import Any

import jax
import numpy as np

from fnn.optim.hyperparameters import hyperparams


def setting(opt_state: Any, data: Any, samples: int, **settings: Any) -> dict[str, Any]:
    """The settings as JSON holds them, with the rates a run begins with and a checksum of the first data.

    >>> setting((), (np.zeros((2, 3)),), 2, shuffle=True)
    {'data': 4069045141, 'shuffle': True}
    """
    whole: dict[str, Any] = {name: np.asarray(value).tolist() for name, value in hyperparams(opt_state).items()}
    whole["data"] = _checksum(data, samples)
    for name, value in settings.items():
        whole[name] = value if isinstance(value, bool | int | list) else _described(value)
    return json.loads(json.dumps(whole))


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The settings that are not the same, in words; empty if all are."""
    # As text, since a NaN (of a rate that no schedule has set yet) is not itself.
    names = [name for name in {**theirs, **ours} if str(theirs.get(name)) != str(ours.get(name))]
    return "; ".join(f"{name}: {theirs.get(name)!r}, now {ours.get(name)!r}" for name in names)


def _described(thing: Any) -> str:
    """The repr, without the addresses of functions, which are others in the next process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


def _checksum(data: Any, samples: int) -> int:
    checksum = 0
    for leaf in jax.tree.leaves(data):
        checksum = zlib.crc32(np.asarray(leaf[:samples]).tobytes(), checksum)
    return checksum
