"""Layers made of layers, one wiring a file.

Their names in paths (see ``fnn.layers``):

    Parallel parallel         Remat remat               Repeat repeat         Residual residual    Serial serial
"""

from fnn.combinators.parallel import Parallel as Parallel
from fnn.combinators.remat import Remat as Remat
from fnn.combinators.repeat import Repeat as Repeat
from fnn.combinators.residual import Residual as Residual
from fnn.combinators.serial import Serial as Serial
