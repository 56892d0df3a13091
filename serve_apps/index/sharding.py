"""Which shard holds which symbol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bellwether.errors import ConfigError

Groups = tuple[tuple[str, ...], ...]


def shards(symbols: Sequence[str], how: int | Sequence[Sequence[str]]) -> Groups:
    """The symbols of each shard.

    A number cuts the universe into at most so many contiguous slices of its order, as even as can be, the longer ones
    first. The same universe and number give the same shards, so each start puts a symbol where the last one did; a
    universe that grows by one symbol, wherever it comes in, moves at most one other symbol across each boundary.

    Groups are taken as they are.

    Raises
    ------
    ConfigError
        Groups that leave a symbol out, name one twice or one that is not of the universe, or an empty one.

    >>> shards("ABCDE", 2), shards("ABC", [["C"], ["A", "B"]])
    ((('A', 'B', 'C'), ('D', 'E')), (('C',), ('A', 'B')))
    """
    if isinstance(how, int):
        return _slices(symbols, how)
    groups = tuple(tuple(group) for group in how)
    _check_groups(symbols, groups)
    return groups


def _slices(symbols: Sequence[str], count: int) -> Groups:
    count = max(1, min(count, len(symbols)))
    size, longer = divmod(len(symbols), count)
    ends = [(k + 1) * size + min(k + 1, longer) for k in range(count)]
    return tuple(tuple(symbols[a:b]) for a, b in zip([0, *ends], ends, strict=False))


def _check_groups(symbols: Sequence[str], groups: Groups) -> None:
    counts = Counter(symbol for group in groups for symbol in group)
    wrong = {
        "left out": [s for s in symbols if s not in counts],
        "more than once": [s for s, n in counts.items() if n > 1],
        "not of the universe": [s for s in counts if s not in set(symbols)],
    }
    found = [f"{what}: {', '.join(names)}" for what, names in wrong.items() if names]
    if not all(groups):
        found.append("a group is empty")
    if found:
        raise ConfigError(f"shards must hold each symbol of the universe once; {'; '.join(found)}")
