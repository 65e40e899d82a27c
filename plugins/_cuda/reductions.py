"""The reductions of reduce.cuh: their names, and their numpy functions."""

from __future__ import annotations

from typing import Literal

import numpy as np

Reduction = Literal["none", "add", "mul", "min", "max"]

#: numpy's function for each reduction but "none".
UFUNCS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
