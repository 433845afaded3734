"""xlam_lib: the shared logic of the xLAM reproducibility book.

One stage is one module: :mod:`xlam_lib.sources` (unify), :mod:`xlam_lib.augment`,
:mod:`xlam_lib.verify`, :mod:`xlam_lib.synthesis`, :mod:`xlam_lib.mixture`,
:mod:`xlam_lib.train`, :mod:`xlam_lib.evaluate`; :mod:`xlam_lib.runs` executes them all.
"""

__version__ = "0.1.0"
