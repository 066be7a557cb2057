"""The layers, one concept a file.

A positional layer of a combinator is named after its class, with a count: ``dense_0``, ``batch_norm_0``, ``dense_1``.
These names stand in the paths of parameters and checkpoints and do not change. The name of a class is its own in snake
case (PRelu p_relu, GEGLU geglu, FeedbackRNN feedback_rnn, RMSNorm rms_norm), but for two: ReGLU reglu, SwiGLU swiglu.
A class of your own takes the name that it declares, ``class MyLayer(fnn.Layer, name="my_layer")``, or that of its class
in snake case.
"""

from fnn.layers.activation._elementwise import Elementwise as Elementwise
from fnn.layers.activation.elu import Celu as Celu
from fnn.layers.activation.elu import Elu as Elu
from fnn.layers.activation.elu import Selu as Selu
from fnn.layers.activation.gelu import Gelu as Gelu
from fnn.layers.activation.hard_swish import HardSwish as HardSwish
from fnn.layers.activation.maxout import Maxout as Maxout
from fnn.layers.activation.mish import Mish as Mish
from fnn.layers.activation.p_relu import PRelu as PRelu
from fnn.layers.activation.rectifiers import LeakyRelu as LeakyRelu
from fnn.layers.activation.rectifiers import Relu as Relu
from fnn.layers.activation.rectifiers import Relu6 as Relu6
from fnn.layers.activation.rectifiers import SquaredRelu as SquaredRelu
from fnn.layers.activation.sigmoids import HardSigmoid as HardSigmoid
from fnn.layers.activation.sigmoids import HardTanh as HardTanh
from fnn.layers.activation.sigmoids import LogSigmoid as LogSigmoid
from fnn.layers.activation.sigmoids import Sigmoid as Sigmoid
from fnn.layers.activation.sigmoids import Softplus as Softplus
from fnn.layers.activation.sigmoids import Softsign as Softsign
from fnn.layers.activation.sigmoids import Step as Step
from fnn.layers.activation.sigmoids import Tanh as Tanh
from fnn.layers.activation.softmax import LogSoftmax as LogSoftmax
from fnn.layers.activation.softmax import Softmax as Softmax
from fnn.layers.activation.softshrink import Softshrink as Softshrink
from fnn.layers.activation.swish import Silu as Silu
from fnn.layers.activation.swish import Swish as Swish
from fnn.layers.activation.trainable_swish import TrainableSwish as TrainableSwish
from fnn.layers.attention.multi_head_attention import MultiHeadAttention as MultiHeadAttention
from fnn.layers.attention.positions import PositionalEmbedding as PositionalEmbedding
from fnn.layers.attention.positions import SinusoidalEmbedding as SinusoidalEmbedding
from fnn.layers.attention.rotary_embedding import RotaryEmbedding as RotaryEmbedding
from fnn.layers.conv.conv import Conv as Conv
from fnn.layers.conv.conv_transpose import ConvTranspose as ConvTranspose
from fnn.layers.conv.depthwise_conv import DepthwiseConv as DepthwiseConv
from fnn.layers.joining import Add as Add
from fnn.layers.joining import Concatenate as Concatenate
from fnn.layers.joining import Multiply as Multiply
from fnn.layers.lambda_layer import Lambda as Lambda
from fnn.layers.linear.bilinear import Bilinear as Bilinear
from fnn.layers.linear.dense import Dense as Dense
from fnn.layers.linear.embedding import Embedding as Embedding
from fnn.layers.linear.gated_linear import GEGLU as GEGLU
from fnn.layers.linear.gated_linear import GLU as GLU
from fnn.layers.linear.gated_linear import ReGLU as ReGLU
from fnn.layers.linear.gated_linear import SwiGLU as SwiGLU
from fnn.layers.norm.batch_norm import BatchNorm as BatchNorm
from fnn.layers.norm.group_norm import GroupNorm as GroupNorm
from fnn.layers.norm.instance_norm import InstanceNorm as InstanceNorm
from fnn.layers.norm.layer_norm import LayerNorm as LayerNorm
from fnn.layers.norm.rms_norm import RMSNorm as RMSNorm
from fnn.layers.pool.whole import GlobalAvgPool as GlobalAvgPool
from fnn.layers.pool.whole import GlobalMaxPool as GlobalMaxPool
from fnn.layers.pool.windowed import AvgPool as AvgPool
from fnn.layers.pool.windowed import MaxPool as MaxPool
from fnn.layers.random.dropout import Dropout as Dropout
from fnn.layers.random.gaussian_noise import GaussianNoise as GaussianNoise
from fnn.layers.recurrent.feedback_rnn import FeedbackRNN as FeedbackRNN
from fnn.layers.recurrent.gru import GRU as GRU
from fnn.layers.recurrent.lstm import LSTM as LSTM
from fnn.layers.recurrent.simple_rnn import SimpleRNN as SimpleRNN
from fnn.layers.shape.pad import Pad as Pad
from fnn.layers.shape.pixel_shuffle import PixelShuffle as PixelShuffle
from fnn.layers.shape.reshape import Flatten as Flatten
from fnn.layers.shape.reshape import Identity as Identity
from fnn.layers.shape.reshape import Reshape as Reshape
from fnn.layers.shape.reshape import Transpose as Transpose
from fnn.layers.shape.up_sample import UpSample as UpSample
