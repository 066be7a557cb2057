"""Data augmentation for images, inside the compiled step. ``augmentation.py`` is the contract; one idea a file."""

from fnn.augment.affine import Affine as Affine
from fnn.augment.augmentation import Augmentation as Augmentation
from fnn.augment.compose import Compose as Compose
from fnn.augment.compose import Sometimes as Sometimes
from fnn.augment.crop import RandomCrop as RandomCrop
from fnn.augment.cut_mix import CutMix as CutMix
from fnn.augment.cut_out import CutOut as CutOut
from fnn.augment.flip import FlipHorizontal as FlipHorizontal
from fnn.augment.flip import FlipVertical as FlipVertical
from fnn.augment.intensity import Brightness as Brightness
from fnn.augment.intensity import Contrast as Contrast
from fnn.augment.intensity import Noise as Noise
from fnn.augment.mixing import Mixing as Mixing
from fnn.augment.mixup import Mixup as Mixup
from fnn.augment.single import Rotate as Rotate
from fnn.augment.single import Shear as Shear
from fnn.augment.single import Translate as Translate
from fnn.augment.single import Zoom as Zoom
