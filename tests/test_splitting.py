"""Splits: nothing on two sides, nothing moves, shares are kept; and `split` as a person uses it."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

import morphoindex
from morphoindex.errors import IndexDamaged, SplitLeaks, UsageError
from morphoindex.indexer.selection.splitting import FREE, HELD, closest_across, deal, extend, leaks
from morphoindex.indexer.selection.together import united
from morphoindex.indexer.subsets.groupings import Grouping, night_of
from morphoindex.indexer.subsets.splitting import found_leaks, ratios_of

RATIOS = np.array([0.8, 0.1, 0.1])


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# --- kernels ---------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(0, 3), st.integers(1, 4), st.integers(0, 10_000))
def test_a_split_that_grows_never_separates_a_group_and_never_moves_anyone(
    n: int, kinds: int, batches: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    groups = [rng.integers(-1, max(2, n // 3), n) for _ in range(kinds)]
    rank, classes, arrival = rng.permutation(n), rng.integers(0, 3, n), rng.integers(0, batches, n)
    sides = np.full(n, FREE)
    for batch in range(batches):
        here = np.flatnonzero(arrival <= batch)
        own = [group[here] for group in groups]
        order = np.argsort(np.argsort(rank[here]))
        before = sides[here]
        joined = extend(own, before, order)
        assert np.array_equal(joined[before != FREE], before[before != FREE])
        for i in np.flatnonzero(before == FREE).tolist():
            met = {int(s) for g in own if g[i] >= 0 for s in joined[g == g[i]] if s >= 0} - {int(joined[i])}
            if joined[i] == HELD:
                assert len(met) > 1  # not without reason
            elif joined[i] == FREE:
                assert not met
            else:
                assert not met  # all that it belongs to is on its side
        units = united([np.where(joined == FREE, g, -1) for g in own], len(here))
        dealt = deal(units, classes[here], joined, RATIOS, order)
        assert (dealt != FREE).all()
        assert np.array_equal(dealt[joined != FREE], joined[joined != FREE])
        assert [leaks(g, dealt) for g in own] == [[] for _ in own]
        sides[here] = np.where(dealt == HELD, FREE, dealt)


def test_who_links_two_sides_is_held_back_and_the_others_join() -> None:
    #         old A, old B, new of A, new of B, links both, free
    first = np.array([0, 1, 0, -1, 0, -1])
    second = np.array([-1, 5, -1, 5, 5, 7])
    found = extend([first, second], np.array([0, 1, FREE, FREE, FREE, FREE]), np.arange(6))
    assert found.tolist() == [0, 1, 0, 1, HELD, FREE]


def test_of_two_that_cannot_both_join_the_lower_rank_does() -> None:
    first, second = np.array([0, 0, 1, 1]), np.array([-1, 9, 9, -1])
    sides = np.array([0, FREE, FREE, 1])
    assert extend([first, second], sides, np.array([0, 1, 2, 3])).tolist() == [0, 0, HELD, 1]
    assert extend([first, second], sides, np.array([0, 2, 1, 3])).tolist() == [0, HELD, 1, 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 10_000))
def test_classes_and_the_whole_keep_their_shares(largest: int, kinds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, 60 * kinds)
    units = np.repeat(np.arange(len(sizes)), sizes)
    classes = np.repeat(rng.integers(0, kinds, len(sizes)), sizes)  # a unit is of one class
    n = len(units)
    sides = deal(units, classes, np.full(n, FREE), RATIOS, rng.permutation(n))
    assert np.abs(np.bincount(sides, minlength=3) - RATIOS * n).max() <= largest + 1
    for kind in range(kinds):
        here = np.bincount(sides[classes == kind], minlength=3)
        assert np.abs(here - RATIOS * here.sum()).max() <= 2 * largest


def test_rare_classes_go_to_the_largest_share_first_and_pairs_where_there_is_need() -> None:
    common, rare = np.zeros(90, int), np.arange(1, 11)
    classes = np.concatenate([common, rare])
    sides = deal(np.arange(100), classes, np.full(100, FREE), RATIOS, np.arange(100))
    assert set(sides[90:].tolist()) == {0}
    assert np.bincount(sides).tolist() == [80, 10, 10]
    pairs = np.repeat(np.arange(100), 2)
    spread = deal(np.arange(200), pairs, np.full(200, FREE), RATIOS, np.arange(200))
    assert all(0 in spread[pairs == kind] for kind in range(100))
    assert min(np.bincount(spread, minlength=3)) > 0


def test_a_group_larger_than_a_side_goes_to_one_that_holds_it() -> None:
    units = np.concatenate([np.zeros(40, int), np.arange(1, 61)])
    sides = deal(units, np.zeros(100, int), np.full(100, FREE), RATIOS, np.arange(100))
    assert set(sides[:40].tolist()) == {0}
    assert np.bincount(sides).tolist() == [80, 10, 10]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_the_closest_pair_is_that_of_brute_force(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, sides = unit(rng.normal(size=(n, 4))), rng.integers(-2, 3, n)
    found = closest_across(vectors, sides)
    pairs = [(i, j) for i in range(n) for j in range(n) if min(sides[i], sides[j]) >= 0 and sides[i] != sides[j]]
    if not pairs:
        assert found is None
        return
    assert found is not None
    assert found[2] == pytest.approx(max(float(vectors[i] @ vectors[j]) for i, j in pairs), abs=1e-6)
    assert (found[0], found[1]) in pairs


def test_leaks_are_found() -> None:
    assert leaks(np.array([7, 7, -1, 7, 3, 3]), np.array([0, 1, 0, 1, 2, 2])) == [(0, 1)]
    assert leaks(np.array([7, 7]), np.array([0, HELD])) == []


def test_a_leak_by_way_of_who_is_held_back_is_told_from_a_plain_one() -> None:
    groups, sides = np.array([0, 0, 0, 1, 1]), np.array([0, HELD, 1, 0, 1])
    alone, linked = Grouping("box", groups, 0), Grouping("encounters", groups, 0, alone=False)
    found, bridged = found_leaks([alone], sides)
    assert ([one[:2] for one in found], bridged) == ([(0, 2), (3, 4)], [])
    found, bridged = found_leaks([linked], sides)
    assert ([one[:2] for one in found], [one[:2] for one in bridged]) == ([(3, 4)], [(0, 2)])


@pytest.mark.parametrize(
    ("wished", "shares"),
    [("80/10/10", (0.8, 0.1, 0.1)), ("0.7/0.3", (0.7, 0.3)), ((70, 30), (0.7, 0.3)), ("33.3/33.3/33.3", (1 / 3,) * 3)],
)
def test_shares_are_read(wished: Any, shares: tuple[float, ...]) -> None:
    assert ratios_of(wished) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("wished", "says"),
    [
        ("80/10/5", "comes to 95: shares come to 100"),
        ("80/10/20", "comes to 110"),
        ("100", "two shares or more"),
        ("100/0", "all above 0"),
        ("110/-10", "all above 0"),
        ("nan/50", "all above 0"),
        ("most/some", "are no shares"),
        ("80:20", "are no shares"),
    ],
)
def test_what_are_no_shares_is_said(wished: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ratios_of(wished)


@pytest.mark.parametrize(
    ("time", "night"),
    [
        ("2024-06-01T22:10:00", "2024-06-01"),
        ("2024-06-02T03:00:00", "2024-06-01"),
        ("2024-06-02T11:59:59.5+02:00", "2024-06-01"),
        ("2024-06-02T12:00:00", "2024-06-02"),
        ("2024-06-02", "2024-06-02"),
        ("yesterday", None),
        (None, None),
    ],
)
def test_a_night_lasts_from_noon_to_noon(time: str | None, night: str | None) -> None:
    found = night_of(time)
    assert (found and found.isoformat()) == night


# --- an index --------------------------------------------------------------------------------------------------------

N = 120


def fill(index: morphoindex.Index, ids: list[str], seed: int = 0, **labels: list[str]) -> None:
    """Specimens that are like nothing else, with these labels."""
    index.add_embeddings(ids, unit(np.random.default_rng(seed).normal(size=(len(ids), 64))), metadata=labels)


def sides_of(index: morphoindex.Index, folder: Path, name: str = "main") -> dict[str, str]:
    """Where each specimen is, as the manifests say."""
    result = index.split(name=name, out=folder)
    found = {}
    for side in result.sides:
        with open(folder / f"{side.name}.csv", newline="", encoding="utf-8") as file:
            found.update({row["id"]: side.name for row in csv.DictReader(file)})
    return found


@pytest.fixture
def filled(tmp_path: Path) -> Any:
    """120 specimens of 4 species, three of each individual, the last ones without a species."""
    with morphoindex.open(tmp_path / "index", create=True) as index:
        species = [f"s{i // 3 % 4}" if i < N - 6 else "" for i in range(N)]
        fill(index, [f"a{i}" for i in range(N)], species=species, individual=[f"i{i // 3}" for i in range(N)])
        yield index


def test_individuals_stay_on_one_side_and_species_keep_their_shares(filled: morphoindex.Index, tmp_path: Path) -> None:
    result = filled.split("60/20/20", groups="individual", out=tmp_path / "out")
    assert (result.begun, result.plan.by, result.groups, result.leaks) == (True, "species", N // 3, 0)
    assert max(abs(side.specimens - side.ratio * N) for side in result.sides) <= 3
    assert sum(side.unlabelled for side in result.sides) == 6
    assert sum(sum(side.labels.values()) for side in result.sides) == N - 6
    sides = sides_of(filled, tmp_path / "out")
    assert len(sides) == N
    for i in range(0, N, 3):
        assert len({sides[f"a{i + k}"] for k in range(3)}) == 1
    for kind in range(4):
        counts = Counter(sides[f"a{i}"] for i in range(N - 6) if i // 3 % 4 == kind)
        assert abs(counts["val"] - 0.2 * counts.total()) <= 3
    certificate = json.loads((tmp_path / "out/certificate.json").read_text())
    assert certificate["leaks"] == 0
    assert certificate["plan"]["groups"] == ["individual"]
    assert [reason["by"] for reason in certificate["grouped"]] == ["near-duplicates", "individual"]
    assert (certificate["grouped"][1]["groups"], certificate["grouped"][1]["specimens"]) == (N // 3, N)
    ends, across = certificate["closest"]["ids"], certificate["closest"]["sides"]
    assert [sides[one] for one in ends] == across
    assert across[0] != across[1]
    assert certificate["closest"]["cosine"] < 0.97


def test_new_specimens_join_what_they_belong_to_and_no_one_moves(filled: morphoindex.Index, tmp_path: Path) -> None:
    filled.split("60/20/20", groups="individual")
    before = sides_of(filled, tmp_path / "out")
    fill(filled, [f"b{i}" for i in range(40)], 1, individual=[f"i{i}" for i in range(40)], species=["s0"] * 40)
    fill(filled, [f"c{i}" for i in range(60)], 2, individual=[f"new{i}" for i in range(60)], species=["s1"] * 60)
    told = filled.split(dry_run=True)
    assert (told.begun, sum(side.added for side in told.sides)) == (False, 100)
    after = sides_of(filled, tmp_path / "out")
    assert {one: after[one] for one in before} == before
    assert all(after[f"b{i}"] == before[f"a{3 * i}"] for i in range(40))
    shares = Counter(after[f"c{i}"] for i in range(60))
    assert min(shares.values()) >= 8
    assert sides_of(filled, tmp_path / "out") == after
    filled.rebuild()
    filled.remove(["a0", "a1", "c3"])
    assert sides_of(filled, tmp_path / "out") == {k: v for k, v in after.items() if k not in ("a0", "a1", "c3")}
    fill(filled, ["a0", "c3"], 3, individual=["i0", "new3"])
    back = sides_of(filled, tmp_path / "out")
    assert (back["a0"], back["c3"]) == (after["a0"], after["c3"])
    assert filled.check().clean


def test_who_belongs_to_two_sides_is_held_back_and_said(filled: morphoindex.Index, tmp_path: Path) -> None:
    first = filled.split("60/20/20", groups=["individual"])
    assert first.held_back == ()
    sides = sides_of(filled, tmp_path / "out")
    train, test = (next(i for i in range(0, N, 3) if sides[f"a{i}"] == side) for side in ("train", "test"))
    vectors = unit(np.random.default_rng(0).normal(size=(N, 64)))
    nearly = unit(vectors[[test]] + 0.001)
    filled.add_embeddings(["link", "copy"], np.concatenate([nearly, unit(vectors[[test]] - 0.001)]),
                          metadata={"individual": [f"i{train // 3}", ""]})  # fmt: skip
    result = filled.split(out=tmp_path / "out")
    assert [one.id for one in result.held_back] == ["link"]
    after = sides_of(filled, tmp_path / "out")
    assert "link" not in after
    assert after["copy"] == "test"
    filled.remove([f"a{train + k}" for k in range(3)])  # nothing on the other side any more
    assert filled.split().held_back == ()
    assert sides_of(filled, tmp_path / "out")["link"] == "test"


def test_a_leak_among_those_that_have_sides_is_an_error_and_nothing_is_written(
    filled: morphoindex.Index, tmp_path: Path
) -> None:
    filled.split("60/20/20", groups="individual")
    sides = sides_of(filled, tmp_path / "out")
    other = next(i for i in range(0, N, 3) if sides[f"a{i}"] != sides["a0"])
    journal = (tmp_path / "index/journal.jsonl").read_bytes()
    certificate = (tmp_path / "out/certificate.json").read_bytes()
    vectors = unit(np.random.default_rng(0).normal(size=(N, 64)))
    filled.remove(f"a{other}")
    filled.add_embeddings([f"a{other}"], vectors[[other]], metadata={"individual": ["i0"]})  # it was the same animal
    fill(filled, ["d"], 9, individual=["i7"])
    with pytest.raises(SplitLeaks, match=rf"a0 \({sides['a0']}\) and a{other} .* by individual.*Nothing was written"):
        filled.split(out=tmp_path / "out")
    assert (tmp_path / "index/journal.jsonl").read_bytes() == journal
    assert (tmp_path / "out/certificate.json").read_bytes() == certificate
    again = filled.split("60/20/20", groups="individual", anew=True)
    assert again.begun
    after = sides_of(filled, tmp_path / "out")
    assert len(after) == N + 1
    assert after["a0"] == after[f"a{other}"]


def test_near_copies_stay_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    twins = unit(np.repeat(unit(rng.normal(size=(40, 64))), 2, axis=0) + 0.005 * rng.normal(size=(80, 64)))
    with morphoindex.open(tmp_path / "index", create=True) as index:
        index.add_embeddings(range(80), twins)
        result = index.split("50/50", names=["a", "b"])
        confirmed, close = result.grouped
        assert (confirmed.by, confirmed.groups, confirmed.unknown) == (
            "near-duplicates",
            0,
            80,
        )  # there are no pictures
        assert (close.groups, close.specimens, close.unknown, result.groups) == (40, 80, 0, 40)
        assert result.plan.by is None
        assert [side.unlabelled for side in result.sides] == [side.specimens for side in result.sides]
        sides = sides_of(index, tmp_path / "out")
        assert all(sides[str(i)] == sides[str(i + 1)] for i in range(0, 80, 2))
        assert result.closest is not None
        assert result.closest.cosine < 0.97


def test_nights_of_a_site_stay_together(tmp_path: Path) -> None:
    times = [f"2024-06-{1 + i // 4:02d}T{22 if i % 2 else 11}:00:00" for i in range(80)]
    times[0] = ""
    with morphoindex.open(tmp_path / "index", create=True) as index:
        fill(index, [str(i) for i in range(80)], site=[f"x{i // 2 % 2}" for i in range(80)], time=times)
        result = index.split("50/50", site="site", night=True)
        assert (result.plan.site, result.plan.night, result.grouped[-1].unknown) == ("site", True, 1)
        sides = sides_of(index, tmp_path / "out")
        for i in range(1, 74, 2):  # 22:00, and 11:00 of the next day, at the same site
            assert sides[str(i)] == sides[str(i + 3)]
        with pytest.raises(UsageError, match="with other ratios"):
            index.split("60/40")
        whole = index.split("50/50", site="site", name="sites")
        assert (whole.plan.groups, whole.plan.site, whole.groups) == (("site",), None, 2)
        assert not index.split("50/50", site="site", name="sites").begun


def test_one_class_one_group_and_no_group_to_spare(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path / "index", create=True) as index:
        fill(index, [str(i) for i in range(50)], species=["one"] * 50, box=["b"] * 30 + [f"b{i}" for i in range(20)])
        assert index.split("80/20").one_group == ()
        result = index.split("80/20", groups="box", name="boxes")
        assert [(large.specimens, large.side) for large in result.large] == [(30, "train")]
        assert [side.specimens for side in result.sides] == [40, 10]
        fill(index, ["r"], 1, species=["rare"], box=["r"])
        assert index.split(name="boxes").one_group == ("rare",)
        index.remove([str(i) for i in range(30, 50)])
        index.remove("r")
        with pytest.raises(UsageError, match="hang together in 1 group, and 2 sides need one each"):
            index.split("80/20", groups="box", name="again")
        index.remove([str(i) for i in range(29)])
        with pytest.raises(UsageError, match="1 specimen is too few for 2 sides"):
            index.split("80/20", name="again")


def test_a_damaged_line_is_said(filled: morphoindex.Index, tmp_path: Path) -> None:
    with open(tmp_path / "index/journal.jsonl", "a") as file:
        file.write('{"event":"split","time":"x","name":"main","begins":true,"sides":{}}\n')
    with pytest.raises(IndexDamaged, match="a split in the journal cannot be read"):
        filled.split("80/20")


def test_another_seed_deals_otherwise_and_the_same_one_the_same(filled: morphoindex.Index, tmp_path: Path) -> None:
    found = []
    for name, seed in (("x", 1), ("y", 1), ("z", 2)):
        filled.split("80/20", name=name, seed=seed)
        found.append(sides_of(filled, tmp_path / name, name))
    assert found[0] == found[1] != found[2]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of four kinds of five photographs each, and a neighbour graph."""
    folder = tmp_path_factory.mktemp("split")
    encoder = str(tiny.encoder(folder / "tiny.onnx"))
    tiny.photos(folder / "photos", 4, 5)
    cli = tiny.Cli(folder)
    cli("add", "photos", "--labels", "folder", "--encoder", encoder)
    cli("split", "50/50", "--dry-run")
    return folder


@pytest.fixture
def cli(whole: Path, tmp_path: Path) -> tiny.Cli:
    """The command line in a copy of it."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tiny.Cli(tmp_path)


def test_a_tour(cli: tiny.Cli) -> None:
    done = cli("split", "50/25/25", "--out", "sets")  # photographs of a kind are near-copies of each other
    assert "New split main: 20 specimens in 4 groups, each side with its share of every species." in done.stdout
    assert "None of these groups is on two sides.\nThe closest pair across" in done.stdout
    assert "in one group, and so on one side only: kind0, kind1, kind2, kind3" in done.stderr
    assert sorted(path.name for path in (cli.folder / "sets").iterdir()) == [
        "certificate.json", "test.csv", "train.csv", "val.csv",
    ]  # fmt: skip
    certificate = json.loads((cli.folder / "sets/certificate.json").read_text())
    again = cli.json("split", "--dry-run")
    assert {**again, "date": ""} == {
        **certificate, "begun": False, "dry_run": True, "date": "",
        "sides": [{**side, "added": 0} for side in certificate["sides"]],
    }  # fmt: skip
    with open(cli.folder / "sets/train.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert all(Path(row["path"]).parent.name == row["species"] for row in rows)
    tiny.photos(cli.folder / "photos", 5, 6)
    cli("add", "photos", "--labels", "folder")
    assert "Split main, 10 new: 30 specimens in 5 groups" in cli("split", "--out", "sets").stdout
    cli("rebuild")
    assert [side["added"] for side in cli.json("split")["sides"]] == [0, 0, 0]
    tiny.assert_clean(cli.folder)


def test_a_kill_while_it_writes_leaves_a_split_or_none(cli: tiny.Cli) -> None:
    out = cli.folder / "sets"
    arguments = ["split", "50/50", "--index", str(cli.folder / ".morphoindex"), "--out", str(out)]
    before = cli.json("split", "50/50", "--dry-run")["sides"]
    steps = tiny.steps_of([*arguments, "--dry-run"])
    assert all(tiny.killed_at(arguments, steps + more) for more in (-2, 2, 6))
    done = cli.json("split", "50/50", "--out", "sets")
    assert [side["labels"] for side in done["sides"]] == [side["labels"] for side in before]
    assert sorted(path.name for path in out.iterdir()) == ["certificate.json", "test.csv", "train.csv"]
    tiny.assert_clean(cli.folder)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is no such split yet: say which shares, such as 80/10/10"),
        (["80/10/5"], "80/10/5 comes to 95"),
        (["25/25/25/25"], "4 shares need names: --names"),
        (["80/20", "--names", "a,b,c"], "3 names for 2 shares"),
        (["80/20", "--names", "a,A"], "different names"),
        (["80/20", "--names", "a,b/c"], "'b/c' cannot be the name of a side"),
        (["80/20", "--names", "a,certificate"], "'certificate' cannot be"),
        (["80/20", "--name", "a b"], "'a b' cannot be the name of a split"),
        (["80/20", "--by", "colour"], "there is no label column 'colour'; there are species"),
        (["80/20", "--group", "colour"], "there is no label column 'colour'; there are species, camera"),
        (["80/20", "--site", "colour", "--night"], "there is no label column 'colour'"),
        (["80/20", "--night"], "no specimen has both a time and a camera"),
        (["80/20", "--out", "photos"], "neither empty nor the folder of such a split"),
    ],
)
def test_wrong_use_says_what_is_allowed(whole: Path, arguments: list[str], says: str) -> None:
    done = tiny.Cli(whole)("split", *arguments, code=2)
    assert says in done.stderr, done.stderr
    assert done.stdout == ""
    assert not (whole / ".morphoindex/journal.jsonl").exists()
