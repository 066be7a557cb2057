"""The layers, one concept a file.

A positional layer of a combinator is named after its class, with a count; these names stand in the paths of parameters
and checkpoints and do not change:

    AvgPool avg_pool          BatchNorm batch_norm      Conv conv             Dense dense          Dropout dropout
    Embedding embedding       Flatten flatten           Gelu gelu             LayerNorm layer_norm
    GlobalAvgPool global_avg_pool                       LeakyRelu leaky_relu  MaxPool max_pool     Relu relu
    Reshape reshape           Sigmoid sigmoid           Silu silu             Softmax softmax      Swish swish
    Tanh tanh

A class of your own takes the name that it declares, ``class MyLayer(fnn.Layer, name="my_layer")``, or that of its class
in snake case.
"""

from fnn.layers.batch_norm import BatchNorm as BatchNorm
from fnn.layers.conv import Conv as Conv
from fnn.layers.dense import Dense as Dense
from fnn.layers.dropout import Dropout as Dropout
from fnn.layers.elementwise import Elementwise as Elementwise
from fnn.layers.elementwise import Gelu as Gelu
from fnn.layers.elementwise import LeakyRelu as LeakyRelu
from fnn.layers.elementwise import Relu as Relu
from fnn.layers.elementwise import Sigmoid as Sigmoid
from fnn.layers.elementwise import Silu as Silu
from fnn.layers.elementwise import Swish as Swish
from fnn.layers.elementwise import Tanh as Tanh
from fnn.layers.embedding import Embedding as Embedding
from fnn.layers.layer_norm import LayerNorm as LayerNorm
from fnn.layers.pool import AvgPool as AvgPool
from fnn.layers.pool import GlobalAvgPool as GlobalAvgPool
from fnn.layers.pool import MaxPool as MaxPool
from fnn.layers.shape import Flatten as Flatten
from fnn.layers.shape import Reshape as Reshape
from fnn.layers.softmax import Softmax as Softmax
