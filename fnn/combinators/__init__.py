"""Layers made of layers, one wiring a file.

Their names in paths are those of their classes in snake case (see ``fnn.layers``).
"""

from fnn.combinators.bidirectional import Bidirectional as Bidirectional
from fnn.combinators.cast import Cast as Cast
from fnn.combinators.drop_connect import DropConnect as DropConnect
from fnn.combinators.feed_forward import FeedForward as FeedForward
from fnn.combinators.first import First as First
from fnn.combinators.frozen import Frozen as Frozen
from fnn.combinators.graph import Graph as Graph
from fnn.combinators.pack import Pack as Pack
from fnn.combinators.packings import Packing as Packing
from fnn.combinators.parallel import Parallel as Parallel
from fnn.combinators.remat import Remat as Remat
from fnn.combinators.repeat import Repeat as Repeat
from fnn.combinators.residual import Residual as Residual
from fnn.combinators.reversible import Reversible as Reversible
from fnn.combinators.separable_conv import SeparableConv as SeparableConv
from fnn.combinators.serial import Serial as Serial
from fnn.combinators.spectral_norm import SpectralNorm as SpectralNorm
from fnn.combinators.tied import Tied as Tied
from fnn.combinators.time_distributed import TimeDistributed as TimeDistributed
from fnn.combinators.transformer_block import TransformerBlock as TransformerBlock
from fnn.combinators.weight_norm import WeightNorm as WeightNorm
