"""The dashboard asks for what a running Ray exports, and everything of ours that is exported is on it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import pytest
import yaml

from serve_apps.metrics import MOST, OTHER, SECONDS, Bounded, Meter, instruments

MONITORING = Path(__file__).resolve().parents[1] / "cluster" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = {f"{p['title']} {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]} | {
    variable["name"]: variable["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"
}
LATEST_S = 40.0
"""Workers report to the exporter every 10 seconds."""


def names(query: str) -> set[str]:
    """Metrics that a query is about."""
    return set(re.findall(r"\bray_\w+", re.sub(r'"[^"]*"', "", query)))


def labels(query: str) -> set[str]:
    """Labels that a query groups or selects by."""
    grouped = [name.strip() for inside in re.findall(r"\bby \(([^)]*)\)", query) for name in inside.split(",")]
    return {*grouped, *re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)}


def exported(text: str) -> dict[str, set[str]]:
    """Labels of each metric of a scrape."""
    found: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^(\w+)\{(.*)\} ", text, flags=re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    return found


def test_a_query_is_read_for_its_metrics_and_labels():
    query = 'histogram_quantile(0.9, sum by (app, le) (rate(ray_a_bucket{app=~"$app", shard!="ray_x"}[5m]))) / ray_b'
    assert names(query) == {"ray_a_bucket", "ray_b"}
    assert labels(query) == {"app", "le", "shard"}


def test_every_panel_says_what_it_shows_and_has_its_own_place():
    assert all(panel["description"] and panel["title"] for panel in PANELS)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_scrape_example_finds_the_nodes_where_ray_writes_them():
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    (job,) = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["file_sd_configs"] == [{"files": [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]}]


def test_without_ray_nothing_is_recorded(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("serve_apps.metrics.instruments", lambda: pytest.fail("metrics were made"))
    observe(Meter("test"))


def test_a_tag_has_so_many_values_and_no_more():
    bounded = Bounded()
    seen = {bounded(f"S{k:04d}") for k in range(MOST + 100)}
    assert len(seen) == MOST + 1
    assert bounded("S0000") == "S0000"
    assert bounded("S9999") == OTHER


def test_latencies_are_told_apart_from_100_microseconds_to_10_seconds():
    assert (SECONDS[0], SECONDS[-1]) == (1e-4, 10.0)
    assert sorted(set(SECONDS)) == SECONDS


def observe(meter: Meter) -> None:
    """One observation of everything."""
    for stage in ("request", "queue", "features", "inference"):
        with meter.timed(stage):
            pass
    meter.took("queue", 0.001)
    meter.answered("/signal/index", 200, 0.004)
    meter.coverage(1.0)
    meter.staleness("S000", 60.0)
    meter.drift(1.5)
    meter.abstained("late")
    meter.reloaded("index-hourly", 3)
    meter.logged(10)
    meter.dropped(1)


@pytest.fixture(scope="module")
def scrape(on_serve):
    """What a node exports while an app is served that has made each observation, and has failed once."""
    import ray
    from ray import serve

    @serve.deployment(name="Observer", ray_actor_options={"num_cpus": 0.1})
    class Observer:
        def __init__(self, told) -> None:
            from serve_apps.metrics import Meter

            told(Meter("test", "0"))

        async def __call__(self, request):
            raise RuntimeError("on purpose")

    node = ray.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    wanted = {name for query in QUERIES.values() for name in names(query)}
    found, until = {}, time.monotonic() + LATEST_S
    with on_serve(observed=Observer.bind(observe)) as base:
        assert httpx.get(f"{base}/observed", timeout=30).status_code == 500
        while not wanted <= found.keys() and time.monotonic() < until:
            time.sleep(0.5)
            found = exported(httpx.get(url, timeout=30).text)
    return found


@pytest.mark.ray
@pytest.mark.parametrize("title", QUERIES)
def test_a_panel_asks_for_what_is_exported(scrape, title):
    query = QUERIES[title]
    assert names(query)
    assert names(query) <= scrape.keys()
    known = set().union(*(scrape[name] for name in names(query)))
    assert labels(query) <= known


@pytest.mark.ray
def test_what_is_exported_of_ours_is_on_the_dashboard(scrape):
    shown = {name for query in QUERIES.values() for name in names(query)}
    ours = {re.sub(r"_(sum|count)$", "_bucket", name) for name in scrape if name.startswith("ray_bellwether_")}
    assert ours == {name for name in shown if name.startswith("ray_bellwether_")}
    assert len(ours) == len(instruments().all())
