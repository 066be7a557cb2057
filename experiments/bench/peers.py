"""The libraries that fnn is compared with: each is imported when it is needed, and left out where it is missing."""

import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax

from fnn.platform.doctor import installed


class Peer(NamedTuple):
    """A library: the modules to import, the distributions whose versions count, and what installs them.

    ``steps`` is the module in ``experiments.bench.steps`` that has its networks.
    """

    name: str
    steps: str
    modules: tuple[str, ...]
    distributions: tuple[str, ...]
    install: str = 'pip install "fnn[bench]"'


FLAX = Peer("Flax", "in_flax", ("flax.linen", "optax"), ("flax", "optax"))
PEERS = (
    FLAX,
    Peer("Equinox", "in_equinox", ("equinox", "optax"), ("equinox", "optax")),
    Peer("Haiku", "in_haiku", ("haiku", "optax"), ("dm-haiku", "optax")),
    Peer("PyTorch", "in_torch", ("torch",), ("torch",), "pip install torch"),
)


def available(peers: Sequence[Peer], tell: Callable[[str], object]) -> list[Peer]:
    """The peers that can be measured here; ``tell`` is given a line about each of the others."""
    return [peer for peer in peers if _is_there(peer, tell)]


def versions() -> dict[str, str]:
    """The installed versions of all peers."""
    return {name: installed(name) for peer in PEERS for name in peer.distributions}


def _is_there(peer: Peer, tell: Callable[[str], object]) -> bool:
    if peer.name == "PyTorch" and jax.default_backend() != "cpu":
        tell(f"PyTorch is left out: its networks run on the CPU here, those of JAX on the {jax.default_backend()}.")
        return False
    for module in peer.modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            tell(f"{peer.name} is left out: there is no module {error.name!r}. To compare with it: {peer.install}")
            return False
        except Exception as error:  # a peer made for another JAX must not end the comparison with the others
            tell(f"{peer.name} is left out: importing {module} raised {type(error).__name__}: {error}")
            return False
    return True
