"""fnn: neural networks for JAX whose every backward pass is derived by hand, readable and checked.

Read ``fnn/layer.py`` first: it states the contract that everything else follows.
"""

from fnn import combinators as combinators
from fnn import initializers as initializers
from fnn import layers as layers
from fnn import losses as losses
from fnn import optim as optim
from fnn import testing as testing
from fnn import xla
from fnn.backprop import Combinator as Combinator
from fnn.backprop import backprop as backprop
from fnn.combinators import Parallel as Parallel
from fnn.combinators import Remat as Remat
from fnn.combinators import Repeat as Repeat
from fnn.combinators import Residual as Residual
from fnn.combinators import Serial as Serial
from fnn.doctor import doctor as doctor
from fnn.gradients.compare import compare_gradients as compare_gradients
from fnn.gradients.manual_vjp import with_manual_vjp as with_manual_vjp
from fnn.gradients.report import GradientReport as GradientReport
from fnn.layer import Layer as Layer
from fnn.layer import Static as Static
from fnn.layers import AvgPool as AvgPool
from fnn.layers import BatchNorm as BatchNorm
from fnn.layers import Conv as Conv
from fnn.layers import Dense as Dense
from fnn.layers import Dropout as Dropout
from fnn.layers import Embedding as Embedding
from fnn.layers import Flatten as Flatten
from fnn.layers import Gelu as Gelu
from fnn.layers import GlobalAvgPool as GlobalAvgPool
from fnn.layers import LayerNorm as LayerNorm
from fnn.layers import LeakyRelu as LeakyRelu
from fnn.layers import MaxPool as MaxPool
from fnn.layers import Relu as Relu
from fnn.layers import Reshape as Reshape
from fnn.layers import Sigmoid as Sigmoid
from fnn.layers import Silu as Silu
from fnn.layers import Softmax as Softmax
from fnn.layers import Swish as Swish
from fnn.layers import Tanh as Tanh
from fnn.losses import BinaryCrossEntropy as BinaryCrossEntropy
from fnn.losses import CrossEntropy as CrossEntropy
from fnn.losses import Loss as Loss
from fnn.losses import MeanSquaredError as MeanSquaredError
from fnn.metrics import Accuracy as Accuracy
from fnn.metrics import Metric as Metric
from fnn.objective import Objective as Objective
from fnn.penalties import L1 as L1
from fnn.penalties import L2 as L2
from fnn.summary import summary as summary
from fnn.train.checkpoint import load as load
from fnn.train.checkpoint import read_metadata as read_metadata
from fnn.train.checkpoint import save as save
from fnn.train.early_stopping import EarlyStopping as EarlyStopping
from fnn.train.fit import fit as fit
from fnn.train.run import TrainResult as TrainResult
from fnn.train.run import make_train as make_train

xla.guard()  # nothing above starts JAX's backend, and nothing may before this
