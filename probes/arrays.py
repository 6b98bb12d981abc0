"""Arrays without a stated shape. With one, write ``Float[np.ndarray, "row d"]``: jaxtyping takes no alias there."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
"""Indices of rows."""
