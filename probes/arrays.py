"""The arrays that numbers and rows travel in; shapes stand in `Float[np.ndarray, "row d"]` where they matter."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
RowIndices = NDArray[np.intp]
"""Which rows; or a code of each row, such as its fold."""
