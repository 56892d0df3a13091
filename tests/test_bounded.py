"""Bodies that are made to be long to refuse: how much of them is looked at."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from bellwether.config.frozen import Frozen
from serve_apps.book.schemas import DirectionRequest, ForecastRequest
from serve_apps.factor.schemas import BatchRequest as FactorBatch
from serve_apps.index.schemas import BarsBatch, BarsRequest, PredictRequest
from serve_apps.index.schemas import BatchRequest as IndexBatch
from serve_apps.tick.schemas import BatchRequest as TickBatch
from serve_apps.tick.schemas import TicksRequest
from serve_apps.web.bounded import MOST, Bounded


class Item(Frozen):
    amount: Annotated[int, Field(strict=True)]


class Order(Bounded):
    items: Annotated[tuple[Item, ...], Field(max_length=2 * MOST)]
    name: str = ""


def mistakes(model: type[Frozen], body: Any) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(body)
    return [(one["loc"], one["type"]) for one in refused.value.errors()]


class Unread(list[Any]):
    """A list whose items nobody may look at."""

    def __iter__(self) -> Any:
        raise AssertionError("looked at")

    def __getitem__(self, at: Any) -> Any:
        assert isinstance(at, slice)
        return []


@pytest.mark.parametrize(
    ("model", "field"),
    [
        *((PredictRequest, "bars"), (BarsRequest, "bars"), (BarsBatch, "items"), (IndexBatch, "items")),
        *((TickBatch, "items"), (TicksRequest, "ticks"), (FactorBatch, "items")),
        *((ForecastRequest, "snapshots"), (DirectionRequest, "books")),
    ],
)
def test_a_list_that_is_too_long_is_refused_before_its_items_are_looked_at(model, field):
    assert mistakes(model, {field: Unread([{}] * 10_001)}) == [((field,), "too_long")]


def test_too_long_a_list_deeper_in_a_body_is_one_mistake():
    item = {"symbol": "A", "interval": "1h", "bars": Unread([{}] * 10_001)}
    assert mistakes(BarsBatch, {"items": [item]})[0] == (("items", 0, "bars"), "too_long")


def test_so_many_mistakes_are_counted_and_not_listed():
    assert mistakes(Order, {"items": [{"amount": "x"}] * MOST}) == [
        (("items", k, "amount"), "int_type") for k in range(MOST)
    ]
    assert mistakes(Order, {"items": [{"amount": "x"}] * (MOST + 1)}) == [((), "too_many")]
    assert mistakes(Order, {"items": [{str(k): 0 for k in range(MOST)}]}) == [((), "too_many")]
    assert mistakes(Order, dict.fromkeys(map(str, range(MOST + 1)))) == [((), "too_many")]


def test_a_good_body_is_as_it_was():
    assert Order.model_validate({"items": [{"amount": 1}], "name": "a"}) == Order(items=(Item(amount=1),), name="a")
