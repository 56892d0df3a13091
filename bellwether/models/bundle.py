"""A fitted model that is no graph, as data: named arrays and what JSON can say. Never a pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ModelError

FACTS = "facts"
"""Name of the member that holds the facts, as UTF-8 JSON."""

KINDS = "biuf"
"""Array types that may be saved: booleans and numbers."""


@dataclass(frozen=True)
class Bundle:
    """Named arrays of numbers, and facts: names, numbers, lists and mappings that JSON gives back unchanged.

    >>> bundle = Bundle({"beta": np.array([0.5, 2.0])}, {"order": 1})
    >>> read = Bundle.parse(bundle.serialise())
    >>> read.arrays["beta"].tolist(), read.facts
    ([0.5, 2.0], {'order': 1})
    """

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def serialise(self) -> bytes:
        """The bundle as bytes; equal bundles give equal bytes.

        Raises
        ------
        ModelError
            An array is not of numbers, or is called like the facts.
        """
        if wrong := [name for name, a in self.arrays.items() if a.dtype.kind not in KINDS or name == FACTS]:
            raise ModelError(f"a bundle holds arrays of numbers that are not called {FACTS}: {', '.join(wrong)}")
        facts = np.frombuffer(json.dumps(self.facts, sort_keys=True, allow_nan=False).encode(), np.uint8)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            for name, array in [(FACTS, facts), *sorted(self.arrays.items())]:
                with packed.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        return out.getvalue()

    @classmethod
    def parse(cls, content: bytes) -> Bundle:
        """Read what `serialise` wrote; nothing is executed.

        Raises
        ------
        ModelError
            It is damaged, compressed (a few bytes could fill the memory), or holds anything else than numbers.
        """
        try:
            arrays = _arrays(content)
            facts = json.loads(arrays.pop(FACTS).tobytes(), parse_constant=_refused)
            if not isinstance(facts, dict):
                raise ValueError("its facts are not named")
        except Exception as error:  # zipfile, numpy and json raise a dozen classes that share no other base
            raise ModelError(f"the bundle is damaged ({error}): restore or retrain the model") from error
        return cls(arrays, facts)


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if any(member.compress_type != zipfile.ZIP_STORED for member in packed.infolist()):
            raise ValueError("a member is compressed")
    with np.load(io.BytesIO(content), allow_pickle=False) as read:
        arrays = {name: read[name] for name in read.files}
    if wrong := [name for name, a in arrays.items() if not isinstance(a, np.ndarray) or a.dtype.kind not in KINDS]:
        raise ValueError(f"not arrays of numbers: {', '.join(wrong)}")
    return arrays


def _refused(word: str) -> None:
    raise ValueError(f"a fact is {word}")
