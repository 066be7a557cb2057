"""Parameters from other libraries, and back. Moving a network from PyTorch takes ten lines:

    import jax, torch, fnn
    from fnn.interop import load_torch, store_torch

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), …)
    model = fnn.Serial(fnn.Conv(8, (3, 3), padding=1), fnn.Relu(), fnn.Flatten(), …)

    x = jax.ShapeDtypeStruct((1, 32, 32, 3), "float32")           # channels last, where PyTorch has (1, 3, 32, 32)
    params, state = load_torch(model, module, x)                  # or module.state_dict()
    y, _ = model.apply(params, state, images)                     # = module.eval()(images, channels first)
    store_torch(model, params, state, module)                     # and back

Write the model in fnn as the module is in PyTorch; names may differ. Layers are matched by the shapes of their arrays,
and in order: that of the layers in the model, and of the modules' registration. If the two orders differ and shapes do
not decide, ``load_torch`` raises and asks for ``names``, a dict from globs of fnn's paths to prefixes of keys:

    load_torch(model, module, x, names={"encoder/*": "backbone.encoder", "head": "classifier.3"})

What a glob selects is matched with what lies below the prefix, the rest with the rest. Both functions print a table of
what went where and what was turned, and give a warning, ``Difference``, for every setting that no weights can mend,
with what to write instead: an ε, a padding, the form of an activation, or one that only one side has between two
layers of a ``Sequential``. What a ``forward`` of your own calls as a function is not seen; a line below the table says
so. Give the module rather than its state dict: a state dict has no settings, so that nothing can be said of them.
Layers or arrays that are left over raise, unless
``strict=False``.

What is turned is in the table of ``torch_layouts.py``. Beyond the order of axes:

* Where a ``Flatten`` merges the axes of images, PyTorch has the order C, H, W and fnn H, W, C: the rows of the dense
  layer behind it, and of a norm between, are reordered; the columns of a dense layer in front of a ``Reshape`` to an
  image likewise. Inputs of sequences are (N, T, D) in fnn (``batch_first=True``).
* LSTM and RNN have two biases of which only the sum counts; fnn has the sum. GRU's two are both kept.
* Each layer and direction of a recurrent module is a layer of fnn; so is each layer of a transformer, inside ``Repeat``
  too. A pre-norm encoder layer is a ``TransformerBlock``; a post-norm one (``norm_first=False``, PyTorch's default) is
  ``Serial(Residual(MultiHeadAttention(h)), LayerNorm(), Residual(FeedForward(d)), LayerNorm())``.
* A running variance is copied as it is, so that evaluation agrees; PyTorch's updates of it are unbiased (n/(n − 1)
  times the batch's variance) and fnn's are not. ``num_batches_tracked`` becomes ``count``, at least 1.
* Parameters get the dtype of ``x``.

``load_flax`` moves the variables of a ``flax.linen`` module in the same way (``flax_layouts.py``): layouts are nearly
those of fnn, and the numbers in the names of modules are their order. Norms of weights are not moved.

``as_flax``, ``as_equinox`` and ``as_haiku`` make a layer of fnn a module of the other library, for a network or a
training loop that is written there: its parameters, state and keys are that library's, and under ``jax.grad`` its
gradient is the hand rule's.

What differs between the libraries and is not in the weights, measured with torch 2.13.0, flax 0.12.12, keras 3.15.1:

=====================================  ===============================================================================
a query that may attend to nothing     0 in fnn and in PyTorch's ``scaled_dot_product_attention``; NaN in its
                                       ``MultiheadAttention`` with weights; the mean of all values in jax.nn, flax and
                                       keras
weight norm                            PyTorch and fnn keep the function when they wrap a layer (g = ‖v‖); flax starts
                                       with scale 1, and writes the normalised kernel back at every call
spectral norm, in evaluation           PyTorch divides by uᵀW v with the v of its last iteration, fnn by ‖Wᵀu‖
RMSNorm's ε                            1.19e-7 in PyTorch, for half types too (2.2e-16 in float64); 1e-6 in fnn, flax
                                       and keras; 1e-5 in equinox and ONNX
the slope of \\|x\\| at 0                1 under ``jax.grad``; 0 in PyTorch and fnn
HardTanh at ±1                         slope 0 in fnn and PyTorch, 1 in ``jax.nn.hard_tanh``
a tie of the maximum                   the first gets the gradient in fnn and PyTorch's max pools; ``torch.amax`` and
                                       ``jnp.max`` split it
max pooling of NaN                     NaN in fnn, PyTorch and JAX; dropped by onnxruntime's 1-D and global max pools
an average over padding                divided by the elements inside the image in fnn, by the window in PyTorch
dropout in a transformer's layer       PyTorch also drops hidden units of the position-wise network
an infeasible CTC                      raises in fnn, ∞ in PyTorch, about 100,001 in optax and keras
gradients of HardSigmoid and CELU      PyTorch's float64 ones are exact to 5e-9 and (for α ≠ 1) 4e-8 only
AUROC of logits 20 and 25              exact (1.0) in fnn; 0.5 in torchmetrics, which takes the sigmoid in float32
top-k of tied logits                   torchmetrics' top-2 accuracy can be below its top-1
=====================================  ===============================================================================
"""

from fnn.interop.as_equinox import as_equinox as as_equinox
from fnn.interop.as_flax import as_flax as as_flax
from fnn.interop.as_haiku import as_haiku as as_haiku
from fnn.interop.differences import Difference as Difference
from fnn.interop.from_flax import load_flax as load_flax
from fnn.interop.from_torch import load_torch as load_torch
from fnn.interop.from_torch import store_torch as store_torch
