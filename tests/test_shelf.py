"""Models that are loaded when they are asked for: whoever asks, and while another is being loaded."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bellwether.errors import RegistryError
from serve_apps.models.shelf import Shelf


def test_who_asks_for_a_model_that_is_held_does_not_wait_for_another_that_is_loaded():
    begun, go = threading.Event(), threading.Event()

    def load(name, version):
        if version == 2:
            begun.set()
            go.wait(10)
        return name, version

    shelf = Shelf(load, 2)
    shelf.get("m", 1)
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(shelf.get, "m", 2)
        begun.wait(10)
        try:
            assert threads.submit(shelf.get, "m", 1).result(timeout=5) == ("m", 1)
        finally:
            go.set()
        assert slow.result() == ("m", 2)


def test_many_who_ask_for_one_at_the_same_time_load_it_once():
    loaded = []

    def load(name, version):
        loaded.append(version)
        return name, version

    shelf = Shelf(load, 2)
    with ThreadPoolExecutor(8) as threads:
        found = [*threads.map(lambda _: shelf.get("m", 1), range(50))]
    assert set(found) == {("m", 1)}
    assert loaded == [1]


def test_one_that_cannot_be_loaded_is_tried_again_by_the_next_who_asks():
    fails = [RegistryError("away")]

    def load(name, version):
        if fails:
            raise fails.pop()
        return name, version

    shelf = Shelf(load, 2)
    with pytest.raises(RegistryError, match="away"):
        shelf.get("m", 1)
    assert shelf.get("m", 1) == ("m", 1)
