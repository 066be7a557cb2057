"""Activations: entry by entry, and over a few channels.

    rectifiers.py        Relu, LeakyRelu, Relu6, SquaredRelu
    elu.py               Elu, Celu, Selu
    p_relu.py            PRelu, whose slope is learnt
    sigmoids.py          Sigmoid, LogSigmoid, HardSigmoid, Tanh, HardTanh, Softplus, Softsign, Step
    gelu.py              Gelu
    swish.py             Swish, Silu
    trainable_swish.py   TrainableSwish, whose steepness is learnt
    hard_swish.py        HardSwish
    mish.py              Mish
    softshrink.py        Softshrink
    softmax.py           Softmax, LogSoftmax
    maxout.py            Maxout

Those of each entry alone have the base ``Elementwise`` (_elementwise.py); the gated linear units have kernels and are
in fnn/layers/linear/.
"""
