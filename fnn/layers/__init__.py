"""The layers, one concept a file.

A positional layer of a combinator is named after its class, with a count; these names stand in the paths of parameters
and checkpoints and do not change:

    AvgPool avg_pool            BatchNorm batch_norm        Bilinear bilinear           Celu celu
    Conv conv                   ConvTranspose conv_transpose                            Dense dense
    DepthwiseConv depthwise_conv                            Dropout dropout             Elu elu
    Embedding embedding         FeedbackRNN feedback_rnn    Flatten flatten             GEGLU geglu
    GLU glu                     GRU gru                     GaussianNoise gaussian_noise
    Gelu gelu                   GlobalAvgPool global_avg_pool
    GlobalMaxPool global_max_pool                           GroupNorm group_norm        HardSigmoid hard_sigmoid
    HardSwish hard_swish        HardTanh hard_tanh          Identity identity           InstanceNorm instance_norm
    LSTM lstm                   Lambda lambda               LayerNorm layer_norm        LeakyRelu leaky_relu
    LogSigmoid log_sigmoid      LogSoftmax log_softmax      MaxPool max_pool            Maxout maxout
    Mish mish                   MultiHeadAttention multi_head_attention                 PRelu p_relu
    Pad pad                     PixelShuffle pixel_shuffle  PositionalEmbedding positional_embedding
    RMSNorm rms_norm            ReGLU reglu                 Relu relu                   Relu6 relu6
    Reshape reshape             RotaryEmbedding rotary_embedding                        Selu selu
    Sigmoid sigmoid             Silu silu                   SimpleRNN simple_rnn
    SinusoidalEmbedding sinusoidal_embedding                Softmax softmax             Softplus softplus
    Softsign softsign           SquaredRelu squared_relu    Step step                   SwiGLU swiglu
    Swish swish                 Tanh tanh                   TrainableSwish trainable_swish
    Transpose transpose         UpSample up_sample

A class of your own takes the name that it declares, ``class MyLayer(fnn.Layer, name="my_layer")``, or that of its class
in snake case.
"""

from fnn.layers.attention import MultiHeadAttention as MultiHeadAttention
from fnn.layers.batch_norm import BatchNorm as BatchNorm
from fnn.layers.bilinear import Bilinear as Bilinear
from fnn.layers.conv import Conv as Conv
from fnn.layers.conv_transpose import ConvTranspose as ConvTranspose
from fnn.layers.dense import Dense as Dense
from fnn.layers.depthwise_conv import DepthwiseConv as DepthwiseConv
from fnn.layers.dropout import Dropout as Dropout
from fnn.layers.elementwise import Elementwise as Elementwise
from fnn.layers.embedding import Embedding as Embedding
from fnn.layers.feedback import FeedbackRNN as FeedbackRNN
from fnn.layers.function import Lambda as Lambda
from fnn.layers.gated import GEGLU as GEGLU
from fnn.layers.gated import GLU as GLU
from fnn.layers.gated import ReGLU as ReGLU
from fnn.layers.gated import SwiGLU as SwiGLU
from fnn.layers.global_pool import GlobalAvgPool as GlobalAvgPool
from fnn.layers.global_pool import GlobalMaxPool as GlobalMaxPool
from fnn.layers.group_norm import GroupNorm as GroupNorm
from fnn.layers.gru import GRU as GRU
from fnn.layers.instance_norm import InstanceNorm as InstanceNorm
from fnn.layers.layer_norm import LayerNorm as LayerNorm
from fnn.layers.lstm import LSTM as LSTM
from fnn.layers.maxout import Maxout as Maxout
from fnn.layers.noise import GaussianNoise as GaussianNoise
from fnn.layers.pad import Pad as Pad
from fnn.layers.pool import AvgPool as AvgPool
from fnn.layers.pool import MaxPool as MaxPool
from fnn.layers.positions import PositionalEmbedding as PositionalEmbedding
from fnn.layers.positions import SinusoidalEmbedding as SinusoidalEmbedding
from fnn.layers.rectifiers import Celu as Celu
from fnn.layers.rectifiers import Elu as Elu
from fnn.layers.rectifiers import LeakyRelu as LeakyRelu
from fnn.layers.rectifiers import Relu as Relu
from fnn.layers.rectifiers import Relu6 as Relu6
from fnn.layers.rectifiers import Selu as Selu
from fnn.layers.rectifiers import SquaredRelu as SquaredRelu
from fnn.layers.resample import PixelShuffle as PixelShuffle
from fnn.layers.resample import UpSample as UpSample
from fnn.layers.rms_norm import RMSNorm as RMSNorm
from fnn.layers.rotary import RotaryEmbedding as RotaryEmbedding
from fnn.layers.shape import Flatten as Flatten
from fnn.layers.shape import Identity as Identity
from fnn.layers.shape import Reshape as Reshape
from fnn.layers.shape import Transpose as Transpose
from fnn.layers.sigmoids import HardSigmoid as HardSigmoid
from fnn.layers.sigmoids import HardTanh as HardTanh
from fnn.layers.sigmoids import LogSigmoid as LogSigmoid
from fnn.layers.sigmoids import Sigmoid as Sigmoid
from fnn.layers.sigmoids import Softplus as Softplus
from fnn.layers.sigmoids import Softsign as Softsign
from fnn.layers.sigmoids import Step as Step
from fnn.layers.sigmoids import Tanh as Tanh
from fnn.layers.simple_rnn import SimpleRNN as SimpleRNN
from fnn.layers.softmax import LogSoftmax as LogSoftmax
from fnn.layers.softmax import Softmax as Softmax
from fnn.layers.swish import Gelu as Gelu
from fnn.layers.swish import HardSwish as HardSwish
from fnn.layers.swish import Mish as Mish
from fnn.layers.swish import Silu as Silu
from fnn.layers.swish import Swish as Swish
from fnn.layers.trainable import PRelu as PRelu
from fnn.layers.trainable import TrainableSwish as TrainableSwish
