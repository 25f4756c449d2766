"""One body for all vector stores: Qdrant Edge, qdrant-client's local mode, and a server where one is given.

Set MORPHOINDEX_TEST_QDRANT_URL to run against a server too; each test makes a collection of its own there.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from morphoindex.errors import IndexDamaged, StoreError, UsageError
from morphoindex.indexer.storage.edge_errors import translated
from morphoindex.indexer.storage.filters import And, Compare, Filter, Key, Missing, Not, Or, names
from morphoindex.indexer.storage.qdrant_edge import FLUSH_EVERY, EdgeStore
from morphoindex.indexer.storage.qdrant_server import ServerStore
from morphoindex.indexer.storage.vectors import Payload, Point, VectorStore

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")

URL = os.environ.get("MORPHOINDEX_TEST_QDRANT_URL")
DIM = 8
EXAMPLES = int(os.environ.get("MORPHOINDEX_TEST_EXAMPLES", "40"))
Make = Callable[[dict[str, int]], Any]


@pytest.fixture(params=["edge", "local", "server"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes an empty store."""
    made: list[Any] = []

    def build(vectors: dict[str, int]) -> Any:
        if request.param == "edge":
            store: Any = EdgeStore.create(tmp_path / "qdrant", vectors)
        else:
            store = ServerStore.create(server, collection, vectors)
        made.append(store)
        return store

    collection = f"test-{uuid.uuid4().hex}"
    server: Any = None
    if request.param == "local":
        server = QdrantClient(":memory:")
    elif request.param == "server":
        if not URL:
            pytest.skip("MORPHOINDEX_TEST_QDRANT_URL names no server")
        server = URL
    yield build
    for store in made:
        store.close()
    if request.param == "local":
        server.close()
    elif request.param == "server":
        QdrantClient(url=URL, check_compatibility=False).delete_collection(collection)


@pytest.fixture
def store(make: Make) -> VectorStore:
    return make({"enc": DIM})


def units(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def id_of(i: int) -> str:
    """Ids whose order is not the order they are written in."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(i)))


def points(n: int, seed: int = 0) -> list[Point]:
    return [Point(id_of(i), {"n": i, "half": i % 2}, vector) for i, vector in enumerate(units(n, seed))]


def everything(store: VectorStore, where: Filter | None = None, **options: Any) -> list[Point]:
    return [point for batch in store.scroll(where, **options) for point in batch]


# --- writing and reading --------------------------------------------------------------------------------------------


def test_what_is_written_comes_back_to_the_last_byte(store: VectorStore) -> None:
    payload = {
        "paths": [{"root": "photos", "path": "2023/été 1.jpg"}],
        "width": 4000,
        "lat": 52.1,
        "ok": True,
        "nothing": None,
        "labels": {"No. of legs": "6", 'odd "name"\\': "x", "": "empty"},
        "empty": {},
        "none": [],
        "large": 2**62,
    }
    vector = units(1)[0] * np.float32(1.0001)  # off by what half precision leaves; the cosine distance would rescale it
    store.upsert([Point(id_of(0), payload, vector)])
    [point] = store.retrieve([id_of(0)], vectors=True)
    assert point.payload == payload
    assert point.vector is not None
    assert point.vector.dtype == np.float32
    assert point.vector.tobytes() == vector.tobytes()


def test_upsert_replaces_the_point_whole(store: VectorStore) -> None:
    first, second = units(2)
    store.upsert([Point(id_of(0), {"a": 1, "b": 2}, first)])
    store.upsert([Point(id_of(0), {"a": 3}, second)])
    [point] = store.retrieve([id_of(0)], vectors=True)
    assert point.payload == {"a": 3}
    assert np.array_equal(point.vector, second)
    assert store.count() == 1


def test_the_last_of_two_points_with_one_id_stays(store: VectorStore) -> None:
    first, second = units(2)
    store.upsert([Point(id_of(0), {"a": 1}, first), Point(id_of(0), {"a": 2}, second)])
    assert store.retrieve([id_of(0)]) == [Point(id_of(0), {"a": 2})]
    assert store.count() == 1


def test_retrieve_keeps_the_order_and_leaves_out_what_is_not_there(store: VectorStore) -> None:
    store.upsert(points(3))
    found = store.retrieve([id_of(2), id_of(9), id_of(0)])
    assert [point.id for point in found] == [id_of(2), id_of(0)]
    assert found[0].vector is None
    assert store.retrieve([]) == []


def test_delete_passes_over_what_is_not_there(store: VectorStore) -> None:
    store.upsert(points(3))
    store.delete([id_of(1), id_of(9)])
    store.delete([])
    assert {point.id for point in everything(store)} == {id_of(0), id_of(2)}


def test_set_payloads(store: VectorStore) -> None:
    store.upsert([Point(id_of(i), {"keep": i, "cluster": {"a": 1, "b": 2}}, v) for i, v in enumerate(units(3))])
    store.set_payloads(
        [
            ({"cluster": {"c": 3}, "dotted.name": 1}, [id_of(0), id_of(9), id_of(1)]),
            ({"cluster": None, "never.there": None}, [id_of(1)]),
            ({"new": 1}, [id_of(0)]),
            ({"new": 2}, [id_of(0)]),
            ({"new": 3}, []),
        ]
    )
    got = [dict(point.payload) for point in store.retrieve([id_of(0), id_of(1), id_of(2)])]
    assert got == [
        {"keep": 0, "cluster": {"c": 3}, "dotted.name": 1, "new": 2},
        {"keep": 1, "dotted.name": 1},
        {"keep": 2, "cluster": {"a": 1, "b": 2}},
    ]
    assert store.count() == 3
    assert store.count(Compare(("dotted.name",), "=", 1)) == 2


def test_more_points_than_fit_in_one_request(store: VectorStore, request: pytest.FixtureRequest) -> None:
    n = 2100
    store.upsert(points(n))
    ids = [id_of(i) for i in range(n)]
    marked = 20 if request.node.callspec.params["make"] == "local" else n  # the emulation takes n² steps here
    store.set_payloads([({"mark": True}, ids[:marked])])
    assert [point.payload["n"] for point in store.retrieve(ids)] == list(range(n))
    assert store.count(Compare("mark", "=", True)) == marked
    store.delete(ids[:2050])
    assert store.count() == 50


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_scroll_gives_each_once_in_order_of_id(store: VectorStore, batch: int) -> None:
    store.upsert(points(50))
    batches = list(store.scroll(batch=batch, vectors=True))
    assert all(0 < len(some) <= batch for some in batches)
    found = [point for some in batches for point in some]
    assert [point.id for point in found] == sorted(id_of(i) for i in range(50))
    rows = units(50)
    assert all(np.array_equal(point.vector, rows[point.payload["n"]]) for point in found)
    half = everything(store, Compare("half", "=", 1), batch=batch)
    assert [point.id for point in half] == sorted(id_of(i) for i in range(1, 50, 2))


def test_scroll_of_an_empty_store(store: VectorStore) -> None:
    assert list(store.scroll()) == []
    assert store.search(units(1)[0], 3) == []
    assert store.count() == 0


def test_scroll_goes_on_while_points_change(store: VectorStore) -> None:
    store.upsert(points(40))
    seen = []
    for some in store.scroll(batch=10):
        store.set_payloads([({"seen": True}, [point.id for point in some])])
        store.delete([some[0].id])
        seen += [point.id for point in some]
    assert seen == sorted(id_of(i) for i in range(40))
    assert store.count(Compare("seen", "=", True)) == 36


# --- search -----------------------------------------------------------------------------------------------------------


def test_search_finds_the_nearest(store: VectorStore) -> None:
    rows = units(300)
    store.upsert(points(300))
    for query in units(5, seed=1):
        scores = rows.astype(np.float64) @ query.astype(np.float64)
        expected = np.argsort(-scores)[:10]
        hits = store.search(query, 10)
        assert [hit.payload["n"] for hit in hits] == expected.tolist()
        assert np.allclose([hit.score for hit in hits], scores[expected], atol=1e-6)
        odd = [i for i in np.argsort(-scores) if i % 2][:10]
        assert [hit.payload["n"] for hit in store.search(query, 10, Compare("half", "=", 1))] == odd


def test_many_searches_at_once_find_the_nearest(store: VectorStore) -> None:
    rows = units(300)
    store.upsert(points(300))
    queries = units(230, seed=1)  # more than one request
    expected = np.argsort(-(queries.astype(np.float64) @ rows.T.astype(np.float64)), axis=1)[:, :6]
    found = store.nearest(queries, 6)
    assert found == [[id_of(i) for i in row] for row in expected.tolist()]
    assert store.nearest(queries[:2], 0) == [[], []]
    assert store.nearest(queries[:0], 5) == []


def test_search_takes_equal_scores_by_id_across_the_end(store: VectorStore) -> None:
    row, other = units(2)
    store.upsert([Point(id_of(i), {}, row) for i in range(30)])
    store.upsert([Point(id_of(i), {}, other) for i in range(30, 40)])
    hits = store.search(row, 7)
    assert [hit.id for hit in hits] == sorted(id_of(i) for i in range(30))[:7]
    assert all(-1 <= hit.score <= 1 for hit in hits)
    assert len(store.search(row, 1000)) == 40
    assert store.search(row, 0) == []


# --- filters ----------------------------------------------------------------------------------------------------------

UNSET = object()


def values_at(payload: Any, key: Key) -> list[Any]:
    """Written anew from the docstring of filters.py: the values that a condition on this key looks at."""
    value = payload
    for name in names(key):
        value = value.get(name, UNSET) if isinstance(value, dict) else UNSET
    if value is UNSET or value is None:
        return []
    return value if isinstance(value, list) else [value]


def as_time(value: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def holds(where: Filter, payload: Payload) -> bool:
    if isinstance(where, And):
        return all(holds(part, payload) for part in where.parts)
    if isinstance(where, Or):
        return any(holds(part, payload) for part in where.parts)
    if isinstance(where, Not):
        return not holds(where.part, payload)
    found = values_at(payload, where.key)
    if isinstance(where, Missing):
        return not found
    if where.operator == "!=":
        return not any(equal(value, where.value) for value in found)
    if where.operator == "=":
        return any(equal(value, where.value) for value in found)
    return any(ordered(value, where.operator, where.value) for value in found)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(value: Any, wanted: Any) -> bool:
    if is_number(value) and is_number(wanted):
        return bool(value == wanted)
    return type(value) is type(wanted) and bool(value == wanted)


def ordered(value: Any, operator: str, bound: Any) -> bool:
    if is_number(bound) and is_number(value):
        left, right = value, bound
    elif isinstance(bound, str) and isinstance(value, str) and as_time(value):
        left, right = as_time(value), as_time(bound)
    else:
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])


moments = st.builds(
    lambda day, second, micro, zone: datetime(2024, 2, 28, tzinfo=zone) + timedelta(day, second, micro),
    st.integers(0, 2),
    st.sampled_from([0, 1, 43200]),
    st.sampled_from([0, 500_000]),
    st.sampled_from([None, UTC, timezone(timedelta(hours=2))]),
)
dates = st.sampled_from(["2024-02-28", "2024-02-29", "2024-03-01"])
times = st.one_of(moments.map(lambda m: m.isoformat()), moments.map(lambda m: m.isoformat(" ")), dates)
words = st.sampled_from(["Apidae", "apidae", "", "1", "true", "a.b", "naïve", "1.0", "2024", "🐝", 'it\'s "so"'])
integers = st.one_of(st.integers(-3, 3), st.sampled_from([2**53 + 1, -(2**53) - 1]))
numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 1.0, 2.0, 1e300, 0.1]))
anything = st.one_of(words, integers, numbers, st.booleans(), times)

# Per field the values it takes, and the kind of its index.
FIELDS: dict[tuple[str, ...], tuple[st.SearchStrategy[Any], Any]] = {
    ("labels", "family"): (words, "keyword"),
    ("labels", "No. [0] it's / a:b"): (words, "keyword"),
    ("n",): (st.integers(-3, 3), "integer"),
    ("x",): (numbers, "float"),
    ("capture", "time"): (times, "datetime"),
    ("flag",): (st.booleans(), None),
    ("mixed",): (anything, None),
    ("",): (anything, None),
}
ABSENT = st.just(UNSET)


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for key, (values, _) in FIELDS.items():
        value = draw(st.one_of(ABSENT, st.none(), values, values, st.lists(values, max_size=2)))
        if value is UNSET:
            continue
        at = payload
        for name in key[:-1]:
            at = at.setdefault(name, {})
        at[key[-1]] = value
    return payload


keys = st.sampled_from([*FIELDS, ("labels",), ("labels", "nowhere"), ("n", "deeper"), "labels.family"])
compares = st.one_of(
    st.builds(Compare, keys, st.sampled_from(["=", "!="]), anything),
    st.builds(Compare, keys, st.sampled_from(["<", "<=", ">", ">="]), st.one_of(numbers, times)),
)
filters = st.recursive(
    st.one_of(compares, compares, st.builds(Missing, keys)),
    lambda parts: st.one_of(
        st.builds(And, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Or, st.lists(parts, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("indexed", [False, True])
def test_filters_match_what_they_say(store: VectorStore, indexed: bool) -> None:
    if indexed:
        for key, (_, kind) in FIELDS.items():
            if kind:
                store.index_field(key, kind)
    rows = units(6)

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=bool(os.getenv("CI"))
    )
    @given(st.lists(payloads(), min_size=1, max_size=6), st.lists(filters, min_size=4, max_size=8))
    def agrees(held: list[dict[str, Any]], wheres: list[Filter]) -> None:
        store.delete([id_of(i) for i in range(6)])
        store.upsert([Point(id_of(i), payload, rows[i]) for i, payload in enumerate(held)])
        for where in wheres:
            expected = sorted(id_of(i) for i, payload in enumerate(held) if holds(where, payload))
            assert [point.id for point in everything(store, where)] == expected, where
        assert store.count(where) == len(expected)
        assert {hit.id for hit in store.search(rows[0], 10, where)} == set(expected)

    agrees()


def test_an_index_made_later_finds_what_was_there(store: VectorStore) -> None:
    store.upsert(points(100))
    where = And((Compare("n", ">=", 10), Compare("n", "<", 20)))
    before = everything(store, where)
    for _ in range(3):
        store.index_field("n", "integer")
    assert everything(store, where) == before
    assert len(before) == 10
    store.set_payloads([({"n": 15}, [id_of(50)])])
    assert store.count(where) == 11


def test_a_name_that_cannot_be_searched_in_is_refused(store: VectorStore) -> None:
    for name in ('a"b', "a\\b"):
        with pytest.raises(StoreError, match="quote or a backslash"):
            store.count(Compare(("labels", name), "=", "x"))


def test_a_filter_nested_too_deep_is_refused(store: VectorStore) -> None:
    where: Filter = Missing("n")
    for _ in range(40):
        where = Not(where)
    assert store.count(where) == 0
    for _ in range(5000):
        where = Not(where)
    with pytest.raises(StoreError, match="nested"):
        store.count(where)


@pytest.mark.parametrize("value", [True, "soon", "", float("nan"), float("inf"), "2024-13-01"])
def test_order_needs_a_number_or_a_time(value: Any) -> None:
    with pytest.raises(UsageError):
        Compare("capture.time", "<", value)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (Point(id_of(0), {}, None), "no vector"),
        (Point(id_of(0), {}, units(1, dim=5)[0]), r"shape \(5,\)"),
        (Point(id_of(0), {}, np.full(DIM, np.nan, np.float32)), "finite"),
        (Point(id_of(0), {"x": float("nan")}, units(1)[0]), "JSON"),
        (Point(id_of(0), {"x": b"bytes"}, units(1)[0]), "JSON"),
        (Point(id_of(0), {"path": "\udcff.jpg"}, units(1)[0]), "JSON"),
    ],
)
def test_points_that_cannot_be_stored(store: VectorStore, point: Point, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        store.upsert([*points(3), point])
    assert store.count() == 0


def test_ids_that_are_none_are_an_error_of_the_store(store: VectorStore) -> None:
    with pytest.raises(StoreError):
        store.upsert([Point("not a uuid", {}, units(1)[0])])


def test_after_close(store: VectorStore) -> None:
    store.close()
    store.close()
    for call in (store.count, store.optimize, lambda: store.upsert(points(1)), lambda: list(store.scroll())):
        if isinstance(store, ServerStore) and call == store.optimize:
            continue
        with pytest.raises(StoreError, match="closed"):
            call()


def test_optimize_leaves_a_small_store_alone(store: VectorStore) -> None:
    store.upsert(points(50))
    assert store.optimize() is False
    assert store.count() == 50


def test_one_of_several_vectors(make: Make) -> None:
    store = make({"first": 3, "second": DIM})
    assert store.vector_name == "first"
    row = units(1, dim=3)[0]
    store.upsert([Point(id_of(0), {}, row)])
    assert np.array_equal(store.retrieve([id_of(0)], vectors=True)[0].vector, row)
    store.vector_name = "second"
    assert store.retrieve([id_of(0)], vectors=True)[0].vector is None
    assert store.search(units(1)[0], 3) == []


def test_a_further_vector_beside_the_first(make: Make) -> None:
    store = make({"first": DIM})
    store.upsert(points(20))
    rows = units(12, seed=3, dim=5)
    store.add_vectors("second", 5)
    store.add_vectors("second", 5)
    assert store.vectors == {"first": DIM, "second": 5}
    store.vector_name = "second"
    store.put_vectors({id_of(i): row for i, row in enumerate(rows[:10])})
    store.put_vectors({id_of(10): rows[10], id_of(99): rows[11]})  # one of these is not there
    assert store.count() == 20
    found = {point.id: point for point in everything(store, vectors=True)}
    assert [i for i in range(20) if found[id_of(i)].vector is not None] == list(range(11))
    assert all(found[id_of(i)].vector.tobytes() == rows[i].tobytes() for i in range(11))
    assert found[id_of(3)].payload == {"n": 3, "half": 1}
    assert store.search(rows[4], 20)[0].id == id_of(4)
    assert len(store.search(rows[4], 20)) == 11
    store.upsert([Point(id_of(30), {}, rows[11])])  # a point may lack the first
    store.vector_name = "first"
    assert [point.vector is None for point in store.retrieve([id_of(4), id_of(30)], vectors=True)] == [False, True]


def test_a_vector_name_that_is_dropped_can_be_had_again(make: Make) -> None:
    store = make({"first": DIM})
    store.upsert(points(5))
    store.add_vectors("second", 5)
    with pytest.raises(StoreError, match="'second' of 5 dimensions, not 6"):
        store.add_vectors("second", 6)
    store.vector_name = "second"
    with pytest.raises(StoreError, match=r"has shape \(8,\)"):
        store.put_vectors({id_of(0): units(1)[0]})
    with pytest.raises(StoreError, match="not finite"):
        store.put_vectors({id_of(0): np.full(5, np.nan, np.float32)})
    store.put_vectors({id_of(0): units(1, dim=5)[0]})
    store.vector_name = "first"
    store.drop_vectors("second")
    with pytest.raises(StoreError, match="no vectors named 'second'"):
        store.drop_vectors("second")
    assert all(point.vector is not None for point in everything(store, vectors=True))
    store.add_vectors("second", 6)
    store.vector_name = "second"
    assert [point.vector for point in everything(store, vectors=True)] == [None] * 5


# --- the embedded store: folders, locks, kills, damage ----------------------------------------------------------------


def test_edge_reopens(tmp_path: Path) -> None:
    store = EdgeStore.create(tmp_path / "deep" / "q", {"enc": DIM, "other": 3})
    store.index_field("n", "integer")
    store.upsert(points(20))
    store.close()
    again = EdgeStore.open(tmp_path / "deep" / "q")
    assert (again.vectors, again.vector_name) == ({"enc": DIM, "other": 3}, "enc")
    assert [point.payload["n"] for point in again.retrieve([id_of(i) for i in range(20)])] == list(range(20))
    again.close()
    other = EdgeStore.open(tmp_path / "deep" / "q", "other")
    assert other.vector_name == "other"
    other.close()
    with pytest.raises(StoreError, match="no vectors named 'third'; it has: enc, other"):
        EdgeStore.open(tmp_path / "deep" / "q", "third")


def test_edge_is_made_in_an_empty_folder_only(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="empty folder"):
        EdgeStore.create(tmp_path, {"enc": DIM})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("vectors", [{}, {"": DIM}, {"enc": 0}, {"../../enc": DIM}])
def test_edge_is_not_made_by_halves(tmp_path: Path, vectors: dict[str, int]) -> None:
    with pytest.raises(StoreError):
        EdgeStore.create(tmp_path / "q", vectors)
    EdgeStore.create(tmp_path / "q", {"enc": DIM}).close()


def test_edge_builds_its_graph_when_enough_has_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("morphoindex.indexer.storage.qdrant_edge.GRAPH_FROM_KB", 20)
    store = EdgeStore.create(tmp_path / "q", {"enc": DIM})
    store.upsert(points(500))
    assert store.optimize() is False
    store.upsert(points(2000))
    assert store.optimize() is True
    assert store.optimize() is False
    rows = units(2000)
    assert all(np.array_equal(point.vector, rows[point.payload["n"]]) for point in everything(store, vectors=True))
    for query in units(20, seed=1):
        assert [hit.payload["n"] for hit in store.search(query, 10)] == np.argsort(-(rows @ query))[:10].tolist()
    ids = [id_of(i) for i in range(2000)]
    store.set_payloads([({"n": -1}, ids[:100])])  # which takes these out of the graph's segment
    store.delete(ids[1500:])
    assert [point.id for point in everything(store)] == sorted(ids[:1500])
    assert (store.count(), store.count(Compare("n", "=", -1))) == (1500, 100)
    store.close()
    store = EdgeStore.open(tmp_path / "q")
    assert store.count() == 1500
    store.close()


OPEN = """
import sys
from pathlib import Path
from morphoindex.errors import StoreError
from morphoindex.indexer.storage.qdrant_edge import EdgeStore
try:
    EdgeStore.open(Path(sys.argv[1])).close()
except StoreError as error:
    print(error)
"""


def test_edge_is_open_in_one_process_only(tmp_path: Path) -> None:
    store = EdgeStore.create(tmp_path / "q", {"enc": DIM})
    store.upsert(points(5))
    command = [sys.executable, "-c", OPEN, str(tmp_path / "q")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert "is open in another process" in second.stdout
    with pytest.raises(StoreError, match="is open in another process"):
        EdgeStore.open(tmp_path / "q")
    store.upsert(points(9))
    store.close()
    assert subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout == ""


WRITE = """
import sys, uuid
from pathlib import Path
import numpy as np
from morphoindex.indexer.storage.qdrant_edge import EdgeStore
from morphoindex.indexer.storage.vectors import Point
store, start = EdgeStore.open(Path(sys.argv[1])), int(sys.argv[2])
rows = np.load(sys.argv[3])
for i in range(start, start + 100_000):
    ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(10 * i + j))) for j in range(7)]
    store.upsert([Point(ids[j], {"i": i, "j": j}, rows[j]) for j in range(7)])
    store.set_payloads([({"marked": i}, ids[:1])])
    store.delete(ids[6:])
    print(i, flush=True)
"""


def test_edge_keeps_what_was_acknowledged_before_a_kill(tmp_path: Path) -> None:
    EdgeStore.create(tmp_path / "q", {"enc": DIM}).close()
    acknowledged: list[int] = []
    rows = units(7)
    np.save(tmp_path / "rows.npy", rows)
    for more in (1, 60, 200):
        start = acknowledged[-1] + 10 if acknowledged else 0
        command = [sys.executable, "-c", WRITE, str(tmp_path / "q"), str(start), str(tmp_path / "rows.npy")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            acknowledged += [int(child.stdout.readline()) for _ in range(more)]
            child.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
        store = EdgeStore.open(tmp_path / "q")
        for i in acknowledged:
            found = store.retrieve([id_of(10 * i + j) for j in range(7)], vectors=True)
            expected = [{"i": i, "j": j} | ({"marked": i} if j == 0 else {}) for j in range(6)]
            assert [point.payload for point in found] == expected
            assert all(np.array_equal(point.vector, rows[j]) for j, point in enumerate(found))
        assert store.count() - 6 * len(acknowledged) in range(22)  # at most one more a round, not yet acknowledged
        store.close()


def test_edge_keeps_a_further_vector_after_a_kill(tmp_path: Path) -> None:
    program = """
import os, pathlib, signal, sys
import numpy as np
from morphoindex.indexer.storage.qdrant_edge import EdgeStore
store = EdgeStore.open(pathlib.Path(sys.argv[1]))
store.add_vectors("second", 5)
store.vector_name = "second"
store.put_vectors({point.id: np.eye(5, dtype=np.float32)[0] for points in store.scroll() for point in points})
os.kill(os.getpid(), signal.SIGKILL)
"""
    store = EdgeStore.create(tmp_path / "q", {"first": DIM})
    store.upsert(points(30))
    store.close()
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "q")], check=False)
    assert done.returncode == -signal.SIGKILL
    again = EdgeStore.open(tmp_path / "q", "second")
    assert again.vectors == {"first": DIM, "second": 5}
    assert [point.vector.tolist() for point in everything(again, vectors=True)] == [[1, 0, 0, 0, 0]] * 30
    again.vector_name = "first"
    assert all(point.vector is not None for point in everything(again, vectors=True))
    again.close()


def test_edge_flushes_on_its_way(tmp_path: Path) -> None:
    store = EdgeStore.create(tmp_path / "q", {"enc": DIM})
    ids = [id_of(i) for i in range(1000)]
    store.upsert(points(1000))
    store.set_payloads([({"round": i}, ids) for i in range(FLUSH_EVERY // 1000)])
    assert store._unflushed == 1000
    store.close()


def _remove(*patterns: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for pattern in patterns:
            for path in list(folder.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return act


def _overwrite(pattern: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for path in folder.glob(pattern):
            path.write_bytes(b"not what it was" * 50)

    return act


@pytest.mark.parametrize(
    "harm",
    [
        shutil.rmtree,
        _remove("*"),
        _remove("segments"),
        _remove("segments/*"),
        _remove("segments/*/segment.json"),
        _remove("segments/*/version.info"),
        _remove("segments/*/*mappings*"),
        _remove("segments/*/vector_storage-*"),
        _remove("segments/*/vector_storage-*/vectors/chunk*"),
        _remove("morphoindex.json", "edge_config.json"),
        _overwrite("morphoindex.json"),
        _overwrite("edge_config.json"),
        _overwrite("segments/*/segment.json"),
        _overwrite("segments/*/payload_storage/page*"),
        _overwrite("wal/*"),
    ],
)
def test_edge_notices_damage(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    folder = tmp_path / "q"
    store = EdgeStore.create(folder, {"enc": DIM})
    store.upsert(points(15))
    store.flush()  # without this and a second write, all of it could be had again from the log
    store.upsert(points(20)[15:])
    store.close()
    harm(folder)
    with pytest.raises(IndexDamaged, match=f"{folder} is damaged"):
        EdgeStore.open(folder)


def test_edge_does_without_its_record(tmp_path: Path) -> None:
    store = EdgeStore.create(tmp_path, {"enc": DIM})
    store.upsert(points(20))
    store.close()
    (tmp_path / "morphoindex.json").unlink()
    store = EdgeStore.open(tmp_path)
    assert (store.vectors, store.count()) == ({"enc": DIM}, 20)
    store.close()
    assert json.loads((tmp_path / "morphoindex.json").read_text()) == {"vectors": {"enc": DIM}, "points": 20}


class PanicException(BaseException):
    """Named like the one that a panic in Rust becomes; none is known to be within reach of a caller."""


def test_a_panic_is_an_error_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged, match="gave up"), translated(tmp_path):
        raise PanicException("index out of bounds: the len is 0 but the index is 0")
    with pytest.raises(KeyboardInterrupt), translated(tmp_path):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Service runtime error: IO Error: No space left on device (os error 28)", "disk that holds .* is full"),
        ("IO Error: Permission denied (os error 13)", "may not be read and written"),
    ],
)
def test_the_disk_says_no(tmp_path: Path, message: str, words: str) -> None:
    with pytest.raises(StoreError, match=words), translated(tmp_path):
        raise Exception(message)


# --- the server: addresses, keys, collections -------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> Iterator[QdrantClient]:
    client = QdrantClient(path=str(tmp_path / "local"))
    yield client
    client.close()


def test_server_collections_are_opened_by_name(local: QdrantClient) -> None:
    ServerStore.create(local, "bees", {"enc": DIM, "other": 3}).upsert(points(5))
    store = ServerStore.open(local, "bees", "enc")
    assert (store.count(), store.vectors) == (5, {"enc": DIM, "other": 3})
    store.close()
    assert local.collection_exists("bees")  # the client is the caller's, and still open
    with pytest.raises(StoreError, match="has a collection bees already"):
        ServerStore.create(local, "bees", {"enc": DIM})
    with pytest.raises(StoreError, match="has no collection wasps"):
        ServerStore.open(local, "wasps")
    with pytest.raises(StoreError, match="no vectors named 'third'; it has: enc, other"):
        ServerStore.open(local, "bees", "third")
    local.delete_collection("bees")
    with pytest.raises(StoreError, match="has no collection bees"):
        ServerStore.open(local, "bees")
    store = ServerStore.create(local, "bees", {"enc": DIM})
    local.delete_collection("bees")
    with pytest.raises(StoreError, match="has no collection bees"):
        store.count()


def test_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StoreError, match=f"{url} cannot be reached"):
            ServerStore.open(url, "bees")


@pytest.fixture
def doorman() -> Iterator[tuple[str, list[str | None]]]:
    """A server that lets nobody in, and the keys that it was shown."""
    shown: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["api-key"])
            self.send_response(int(self.server.status))  # type: ignore[attr-defined]
            self.end_headers()
            self.wfile.write(b'{"status": {"error": "no more room"}}')

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.status = 401  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", shown
    server.shutdown()
    thread.join()
    server.server_close()


def test_server_that_refuses(doorman: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, shown = doorman
    monkeypatch.delenv("MORPHOINDEX_QDRANT_API_KEY", raising=False)
    monkeypatch.delenv("QDRANT_API_KEY", raising=False)
    for name in ("", "QDRANT_API_KEY", "MORPHOINDEX_QDRANT_API_KEY"):
        if name:
            monkeypatch.setenv(name, f"from {name}")
        with pytest.raises(StoreError, match=f"{url} refuses access; set MORPHOINDEX_QDRANT_API_KEY"):
            ServerStore.open(url, "bees")
    assert shown == [None, "from QDRANT_API_KEY", "from MORPHOINDEX_QDRANT_API_KEY"]


def test_a_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(StoreError) as caught:
        ServerStore.open("http://me:secret@127.0.0.1:9", "bees")
    assert "secret" not in str(caught.value)
    assert "http://127.0.0.1:9" in str(caught.value)
