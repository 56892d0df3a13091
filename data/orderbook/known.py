"""How much of a table of books is known."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from data.arrow import pc


@dataclass(frozen=True, kw_only=True)
class Known:
    """Shares of the rows of books in which a level is known, 0 to 1.

    Parameters
    ----------
    side : str
        ``bid`` or ``ask``.
    level : int
        1 is the best.
    price, quantity : float
        In how many rows each is; a level known to be empty has both.
    """

    side: str
    level: int
    price: float
    quantity: float


def known_shares(books: pa.Table, levels: int) -> list[Known]:
    """Return in how many rows the first ``levels`` of each side are known, bids first, best first.

    >>> books = pa.table({"bid_px_1": [9.5, 9.5, None, None], "bid_qty_1": [100.0, None, None, 0.0],
    ...                   "ask_px_1": [9.6, 9.6, 9.6, 9.6], "ask_qty_1": [1.0, 1.0, 1.0, 1.0]})
    >>> bid, ask = known_shares(books, 1)
    >>> bid.price, bid.quantity, ask.quantity
    (0.75, 0.5, 1.0)
    """
    return [_known(books, side, level) for side in ("bid", "ask") for level in range(1, levels + 1)]


def _known(books: pa.Table, side: str, level: int) -> Known:
    price, qty = books[f"{side}_px_{level}"], books[f"{side}_qty_{level}"]
    empty = pc.sum(pc.fill_null(pc.and_(price.is_null(), pc.equal(qty, 0.0)), False)).as_py() or 0
    rows = max(1, books.num_rows)
    priced = books.num_rows - price.null_count + empty
    return Known(side=side, level=level, price=priced / rows, quantity=(books.num_rows - qty.null_count) / rows)
