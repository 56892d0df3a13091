"""Arrow's arrays and compute functions, as the type checker can bear them."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow.compute

Column: TypeAlias = Any
"""A `pyarrow.Array`. Unchecked, like the functions below: the published stubs know few of their types."""

pc: Any = pyarrow.compute
"""`pyarrow.compute`."""
