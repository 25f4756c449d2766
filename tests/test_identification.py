"""Identification: the vote, the thresholds, and `identify` as a person uses it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import morphoindex
from morphoindex.errors import UsageError
from morphoindex.indexer.selection.identification import (
    TEMPERATURE,
    TOLERATED,
    Measure,
    auroc,
    best_measure,
    density,
    nearest_apart,
    nearness,
    separate,
    shares,
)
from morphoindex.indexer.selection.together import united

KINDS, EACH = 7, 6
NOVEL = 6  # the kind that is not added


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# --- kernels ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 10_000))
def test_the_vote_is_the_sum_of_weights(q: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cosines = -np.sort(-rng.uniform(-1, 1, (q, k)), axis=1)
    taxa = rng.integers(-1, 3, (q, k))
    found = shares(cosines, taxa)
    for i in range(q):
        weights = {t: sum(np.exp(cosines[i][taxa[i] == t] / TEMPERATURE)) for t in range(3)}
        total = sum(weights.values())
        expected = [weights[t] / total if t >= 0 else 0 for t in taxa[i].tolist()]
        np.testing.assert_allclose(found[i], expected, atol=1e-9)


def test_who_is_missing_does_not_vote() -> None:
    assert shares(np.array([[0.5, -np.inf]]), np.array([[4, -1]])).tolist() == [[1.0, 0.0]]
    assert shares(np.array([[-np.inf]]), np.array([[-1]])).tolist() == [[0.0]]
    assert shares(np.empty((1, 0)), np.empty((1, 0), int)).shape == (1, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 10_000))
def test_neighbours_apart_equal_brute_force(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(n, 3)))
    vectors[rng.integers(0, n, n // 4)] = vectors[0]  # some copies
    taxa, groups = rng.integers(0, 3, n), rng.integers(-1, 5, n)
    queries = np.sort(rng.permutation(n)[: max(1, n // 2)])
    found = nearest_apart(vectors, taxa, groups, queries, k, 0.999)
    for i, row in enumerate(queries.tolist()):
        cosines = (vectors[[row]] @ vectors.T)[0]
        others = [j for j in range(n) if j != row and not (groups[j] == groups[row] >= 0)]
        left = [j for j in others if not (taxa[j] == taxa[row] and cosines[j] >= 0.999)]
        assert bool(found.among[i]) == any(taxa[j] == taxa[row] for j in left)
        for rows, values, allowed in (
            (found.known_rows[i], found.known[i], left),
            (found.novel_rows[i], found.novel[i], [j for j in others if taxa[j] != taxa[row]]),
        ):
            expected = sorted((float(cosines[j]) for j in allowed), reverse=True)[:k]
            there = [j for j in rows.tolist() if j >= 0]
            assert set(there) <= set(allowed)
            assert len(set(there)) == len(there) == len(expected)
            np.testing.assert_allclose(values[: len(there)], expected, atol=1e-6)
            assert np.all(values[len(there) :] == -np.inf)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_auroc_is_that_of_scikit_learn_and_thresholds_keep_their_word(known: list[int], novel: list[int]) -> None:
    a, b = np.array(known, float), np.array(novel, float)
    assert auroc(a, b) == pytest.approx(roc_auc_score([1] * len(a) + [0] * len(b), np.concatenate([a, b])))
    found = separate(a, b)
    assert found.novel_below <= found.threshold <= found.known_from
    errors = [((a < t).mean() + (b >= t).mean()) / 2 for t in np.arange(-0.5, 10)]
    assert found.error == pytest.approx(min(errors))
    assert found.error == pytest.approx(((a < found.threshold).mean() + (b >= found.threshold).mean()) / 2)
    assert (b >= found.known_from).mean() <= TOLERATED
    assert (a < found.novel_below).mean() <= TOLERATED
    for scores, told in ((a, found.known), (b, found.novel)):
        high, low = scores >= found.known_from, scores < found.novel_below
        assert told == pytest.approx((high.mean(), (~high & ~low).mean(), low.mean()))


def test_what_is_planted_apart_is_told_apart() -> None:
    found = separate(np.array([0.9, 0.8, 0.85]), np.array([0.4, 0.5]))
    assert (found.auroc, found.error, found.known, found.novel) == (1.0, 0.0, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    assert found.threshold == found.known_from == found.novel_below == pytest.approx(0.65)


def test_nearness_takes_off_what_is_close_anyway() -> None:
    cosines, around = np.array([[0.9, 0.7, -np.inf]]), np.array([[0.8, 0.6, 0.0]])
    assert nearness(cosines, around, Measure(1, 0, 0)).tolist() == pytest.approx([0.9])
    assert nearness(cosines, around, Measure(5, 0, 0)).tolist() == pytest.approx([0.8])
    assert nearness(cosines, around, Measure(2, 0.5, 0.6)).tolist() == pytest.approx([0.8 - 0.5 * (0.7 - 0.6)])
    assert nearness(np.array([[-np.inf]]), np.array([[0.5]]), Measure(1, 0.5, 0.5)).tolist() == [-np.inf]


def test_density_leaves_out_what_it_is_told_to() -> None:
    cosines = np.array([[0.9, 0.8, 0.7], [0.9, 0.5, -np.inf]])
    left_out = np.array([[True, False, False], [True, True, False]])
    assert density(cosines, left_out).tolist() == pytest.approx([0.75, 0.5])


def test_the_measure_is_the_simplest_of_equally_good_ones_and_better_where_places_differ_in_density() -> None:
    flat = np.full((2, 3), 0.5)
    assert best_measure(flat + 0.3, flat, flat, flat, 0.5) == Measure(1, 0.0, 0.5)
    dense, loose = np.full((1, 3), 0.9), np.full((1, 3), 0.5)
    known, novel = np.concatenate([dense, loose]), np.concatenate([dense - 0.2, loose - 0.2])
    around = np.concatenate([dense, loose])
    assert best_measure(known, around, novel, around, 0.7).weight > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(0, 3), st.integers(0, 10_000))
def test_groups_are_united_as_components(n: int, kinds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [rng.integers(-1, 6, n) for _ in range(kinds)]
    found = united(groups, n).tolist()
    parent = list(range(n))
    for _ in range(n):  # labels spread until nothing changes
        for group in groups:
            for i in range(n):
                for j in range(n):
                    if group[i] == group[j] >= 0:
                        parent[i] = parent[j] = min(parent[i], parent[j])
    assert [found.index(one) for one in found] == [parent.index(one) for one in parent]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with seven kinds of photographs, six of them in the index with species and family, and a stray file."""
    folder = tmp_path_factory.mktemp("identify")
    encoder = str(tiny.encoder(folder / "tiny.onnx"))
    photos = tiny.photos(folder / "photos", KINDS, EACH)
    (folder / "new").mkdir()
    for kind in range(KINDS):
        tiny.photo(folder / "new" / f"kind{kind}.png", kind, 99)
    (photos / f"kind{NOVEL}").rename(folder / "stranger")
    rows = [f"kind{k}/{i}.png,kind{k},family{k // 2},box{i // 2}" for k in range(NOVEL) for i in range(EACH)]
    (photos / "labels.csv").write_text("\n".join(["path,species,family,source", *rows]) + "\n")
    cli = tiny.Cli(folder)
    cli("add", "photos", "--labels", "photos/labels.csv", "--encoder", encoder)
    cli("identify", "new")
    return folder


@pytest.fixture
def cli(whole: Path, tmp_path: Path) -> tiny.Cli:
    """The command line in a copy of it."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tiny.Cli(tmp_path)


def verdicts(answer: Any) -> dict[str, tuple[str, str | None]]:
    return {Path(one["query"]).stem: (one["verdict"], one["name"]) for one in answer["identified"]}


def test_known_kinds_are_named_and_the_stranger_is_novel(cli: tiny.Cli) -> None:
    answer = cli.json("identify", "new", "stranger")
    said = verdicts(answer)
    assert {name: said[name] for name in said if name.startswith("kind") and name != f"kind{NOVEL}"} == {
        f"kind{k}": ("known", f"kind{k}") for k in range(NOVEL)
    }
    assert {said[name] for name in said if name not in {f"kind{k}" for k in range(NOVEL)}} == {("novel", None)}
    assert (answer["label"], answer["specimens"], answer["names"]) == ("species", NOVEL * EACH, NOVEL)
    learnt = answer["calibration"]
    assert (learnt["auroc"], learnt["error"], learnt["accuracy"]) == (1.0, 0.0, 1.0)
    assert (learnt["specimens"], learnt["names"]) == (NOVEL * EACH, NOVEL)
    shown = cli("identify", "stranger/0.png").stdout
    assert "novel, near kind" in shown
    assert "AUROC 1.00" in shown


def test_a_specimen_does_not_speak_for_itself(cli: tiny.Cli) -> None:
    by_path = cli.json("identify", "photos/kind2/3.png")["identified"][0]
    by_id = cli.json("identify", by_path["specimen"][:8])["identified"][0]
    assert {**by_path, "query": ""} == {**by_id, "query": ""}
    assert (by_path["named"], by_path["verdict"], by_path["name"]) == ("kind2", "known", "kind2")
    assert by_path["specimen"] not in [name["specimen"] for name in by_path["nearest"]]
    assert max(name["cosine"] for name in by_path["nearest"]) < 1


def test_a_stranger_of_one_kind_only_is_not_named_after_itself(cli: tiny.Cli) -> None:
    """A wrong label stands alone: the others outvote it."""
    (cli.folder / "wrong.csv").write_text("path,species\nphotos/kind1/0.png,kind4\n")
    cli("add", "photos/kind1/0.png", "--labels", "wrong.csv")
    said = cli.json("identify", "photos/kind1/0.png", "new/kind1.png")["identified"]
    assert [(one["named"], one["name"]) for one in said] == [("kind4", "kind1"), (None, "kind1")]


def test_what_was_learnt_is_kept_until_names_change(cli: tiny.Cli) -> None:
    (kept,) = (cli.folder / ".morphoindex/calibration").glob("*.npz")
    before = kept.read_bytes()
    learnt = cli.json("identify", "new/kind0.png")["calibration"]
    assert kept.read_bytes() == before
    cli("identify", "new/kind0.png", "--group", "source")
    assert kept.read_bytes() == before
    assert len(list(kept.parent.iterdir())) == 2
    cli("remove", "photos/kind5/0.png")
    assert cli.json("identify", "new/kind0.png")["calibration"]["specimens"] == learnt["specimens"] - 1
    after = kept.read_bytes()
    assert after != before
    kept.write_bytes(after[:100])  # damaged: made again
    assert cli.json("identify", "new/kind0.png")["calibration"]["specimens"] == learnt["specimens"] - 1
    cli("rebuild")
    assert cli.json("identify", "new/kind0.png")["calibration"]["specimens"] == learnt["specimens"] - 1
    tiny.assert_clean(cli.folder)


def test_too_few_names_are_said_and_there_is_no_verdict(cli: tiny.Cli) -> None:
    for kind in (0, 1):
        cli("remove", f"photos/kind{kind}")
    answer = cli.json("identify", "new/kind3.png")
    assert answer["calibration"] is None
    assert answer["uncalibrated"].startswith("not calibrated: known and novel can be told apart from 5 names")
    (one,) = answer["identified"]
    assert (one["verdict"], one["name"], one["share"]) == (None, "kind3", pytest.approx(1, abs=0.01))
    assert "Not calibrated" in cli("identify", "new/kind3.png").stdout


def test_ranks_are_told_where_neighbours_that_agree_are_mostly_right(tmp_path: Path) -> None:
    """Species lie in families: a new species of a family is novel, and its family is known."""
    rng = np.random.default_rng(0)
    families = unit(rng.normal(size=(4, 16)))
    species = unit(np.repeat(families, 4, axis=0) + 0.15 * unit(rng.normal(size=(16, 16))))
    vectors = unit(np.repeat(species, 8, axis=0) + 0.02 * rng.normal(size=(128, 16)))
    kinds, rows = np.repeat(np.arange(16), 8), np.arange(128)
    names = [f"s{k}" if k != 5 else "" for k in kinds.tolist()]
    metadata = {"species": names, "family": [f"f{k // 4}" if k != 5 else "" for k in kinds.tolist()]}
    with morphoindex.open(tmp_path, create=True) as index:
        index.add_embeddings(rows.tolist(), vectors, metadata=metadata)
        answer = index.identify([str(i) for i in rows[kinds == 5].tolist()])
        assert answer.calibration is not None
        assert answer.calibration.ranks == {"family": 1.0}
        assert {one.verdict for one in answer.identified} == {"novel"}
        told = {(rank.column, rank.value, rank.right) for one in answer.identified for rank in one.ranks}
        assert told == {("family", "f1", 1.0)}
        by_family = index.identify(["40"], label="family")
        assert by_family.uncalibrated is not None
        assert (by_family.identified[0].name, by_family.identified[0].ranks) == ("f1", ())
        with pytest.raises(UsageError, match="there is no label column 'genus'; there are species, family"):
            index.identify(["40"], label="genus")


def test_ranks_are_not_told_where_agreement_means_nothing(cli: tiny.Cli) -> None:
    """The kinds are drawn at random: their families say nothing about a new kind."""
    answer = cli.json("identify", "stranger")
    assert answer["calibration"]["ranks"]["family"] < 0.5
    assert [one["ranks"] for one in answer["identified"]] == [[]] * EACH


def test_copies_and_sources_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    """Every photograph is there twice, and species mean nothing: only twins are alike."""
    rng = np.random.default_rng(1)
    base = unit(rng.normal(size=(60, 32)))
    twins = unit(np.repeat(base, 2, axis=0) + 0.06 * rng.normal(size=(120, 32)))  # cosine about 0.9
    metadata = {
        "species": [f"s{i // 2 % 6}" for i in range(120)], "source": [f"photo{i // 2}" for i in range(120)],
    }  # fmt: skip
    with morphoindex.open(tmp_path, create=True) as index:
        index.add_embeddings(range(120), twins, metadata=metadata)
        naive, honest = (index.identify("0", k=1, groups=groups).calibration for groups in ((), "source"))
    assert naive is not None
    assert honest is not None
    assert naive.accuracy == 1.0
    assert honest.accuracy < 0.4
    assert honest.auroc < 0.7 < naive.auroc


def test_names_of_clusters(cli: tiny.Cli) -> None:
    cli("cluster", "--threshold", "0.9")
    done = cli("identify", "new/kind2.png", "--label", "cluster_name", code=2)
    assert "no cluster with members has a name" in done.stderr
    with morphoindex.open(cli.folder) as index:
        found = index.sql("SELECT DISTINCT species, cluster FROM specimens ORDER BY species").rows
        for kind, cluster in found:
            index.clusters.name(cluster, f"Taxon {'abcdef'[int(kind[-1])]}")
    answer = cli.json("identify", "new", "--label", "cluster_name")
    assert verdicts(answer)["kind2"] == ("known", "Taxon c")
    assert answer["specimens"] == NOVEL * EACH
    assert verdicts(answer)[f"kind{NOVEL}"] == ("novel", None)


def test_search_says_when_nothing_is_like_it(cli: tiny.Cli) -> None:
    assert cli.json("search", "new/kind0.png")["novel"] is False
    few = cli.json("search", "stranger/0.png", "-k", "1")
    assert (few["novel"], len(few["hits"])) == (True, 1)
    assert cli.json("search", "stranger/0.png")["novel"] is True
    assert "it may be something new" in cli("search", "stranger/0.png").stdout
    assert "something new" not in cli("search", "new/kind0.png").stdout
    assert cli.json("search", "stranger/0.png", "--where", "species = kind0")["novel"] is None
    shutil.rmtree(cli.folder / ".morphoindex/calibration")
    assert cli.json("search", "stranger/0.png")["novel"] is None


def test_what_cannot_be_read_is_listed_and_the_rest_identified(cli: tiny.Cli) -> None:
    (cli.folder / "new/broken.png").write_bytes(b"not an image at all")
    answer = cli.json("identify", "new", "photos/kind0/0.png", code=1)
    assert len(answer["identified"]) == KINDS + 1
    assert [(Path(one["path"]).name, one["reason"]) for one in answer["refused"]] == [("broken.png", "not an image")]
    shown = cli("identify", "new/broken.png", code=1).stdout
    assert "Nothing could be read." in shown
    assert "not an image" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.png"], "there is no file nowhere.png"),
        (["kind0"], "neither a specimen of this index nor a file"),
        (["new", "-k", "0"], "k 0: between 1 and 1000"),
        (["new", "--label", "colour"], "there is no label column 'colour'; there are species, family, source"),
        (["new", "--group", "colour"], "there is no label column 'colour'"),
        (["new", "--encoder", "other"], "other"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_says_what_is_allowed(cli: tiny.Cli, arguments: list[str], says: str) -> None:
    done = cli("identify", *arguments, code=2)
    assert says in done.stderr, done.stderr
    assert done.stdout == ""


def test_without_names_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    with morphoindex.open(tmp_path, create=True) as index:
        index.add_embeddings(["a", "b"], np.eye(2, dtype=np.float32))
        with pytest.raises(UsageError, match="no cluster with members has a name: there is nothing to identify by"):
            index.identify("a")


def test_json_is_whole(cli: tiny.Cli) -> None:
    text = cli("identify", "new/kind0.png", "--json").stdout
    assert "NaN" not in text
    assert "Infinity" not in text
    assert list(json.loads(text)) == [
        "label", "k", "specimens", "names", "calibration", "uncalibrated", "identified", "refused",
    ]  # fmt: skip
