"""The command line as a person and as another program use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from conftest import Cli, draw

import morphoindex
from morphoindex.cli.main import COMMANDS
from morphoindex.indexer.encoding.encoder import DEFAULT


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A folder with 24 photographs, added and clustered."""
    folder = tmp_path_factory.mktemp("cli")
    for kind in range(4):
        for individual in range(6):
            draw(folder / "photos" / f"kind{kind}" / f"{individual}.png", kind, individual)
    cli = Cli(folder)
    cli("add", "photos", "--labels", "folder")
    cli("cluster", "--min-cluster-size", "3", "--min-samples", "2")
    return cli


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(here: Cli, command: str) -> None:
    shown = here(command, "--help").stdout
    assert shown.startswith(f"Usage: morphoindex {command}")
    if command not in ("encoder", "clusters", "labels"):
        assert "--json" in shown
        assert "--quiet" in shown
        assert "--wait" in shown


def test_help_imports_nothing_heavy(here: Cli) -> None:
    program = (
        "import sys\nfrom morphoindex.cli.main import run\ntry: run(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'duckdb', 'onnxruntime', 'PIL', 'qdrant_edge', 'hdbscan', 'rich', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "morphoindex add photos/" in done.stdout


def test_add_json(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    draw(tmp_path / "photos/a.png", 1)
    (tmp_path / "photos/b.jpg").write_bytes(b"")
    answer = json.loads(cli.fresh("add", "photos", "--json", code=1).stdout)
    assert list(answer) == [
        "added", "known", "moved", "refused", "specimens", "seconds", "images_per_second", "changed", "gone",
        "labels", "not_clustered", "not_captured", "captures_unused",
    ]  # fmt: skip
    assert (answer["added"], answer["known"], answer["moved"], answer["specimens"]) == (1, 0, 0, 1)
    assert answer["refused"] == [{"path": str(tmp_path / "photos/b.jpg"), "reason": "empty file"}]
    shown = cli("add", "photos", code=1)
    assert "Added 0 specimens (1 known, 1 refused)" in shown.stdout
    assert "photos/b.jpg  empty file" in shown.stdout


def test_add_says_that_it_makes_an_index(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    draw(tmp_path / "a.png", 1)
    assert "made a new index" in cli("add", ".").stderr
    assert (tmp_path / ".morphoindex/index.toml").is_file()
    assert "made a new index" not in cli("add", ".").stderr
    (tmp_path / "below").mkdir()
    assert Cli(tmp_path / "below").json("status")["specimens"] == 1


def test_a_first_add_that_takes_nothing_in_leaves_nothing_behind(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    (tmp_path / "labels.csv").write_text("file,species\n")
    (tmp_path / "empty").mkdir()
    draw(tmp_path / "good/a.png", 1)
    before = sorted(tmp_path.rglob("*"))
    done = cli("add", "broken.jpg", code=1)
    assert "nothing was taken in, and so the new index is gone again" in done.stderr
    for index in ((), ("--index", "new/deep"), ("--index", "empty")):
        cli(*index, "add", "broken.jpg", code=1)
        cli(*index, "add", "good", "--labels", "labels.csv", code=2)
        assert "made a new index" not in cli(*index, "add", "good", "--encoder", "nope", code=2).stderr
        assert "Would read 1 file." in cli(*index, "add", "good", "--dry-run").stdout
        assert sorted(tmp_path.rglob("*")) == before, index
    cli("add", "good")
    cli("add", "broken.jpg", code=1)
    cli("remove", "good")
    assert cli.json("status")["specimens"] == 0  # an index that has held something stays


def test_what_others_put_into_a_new_index_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with morphoindex.open(tmp_path / "empty", create=True):
        draw(tmp_path / "empty/a.png", 1)
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["a.png"]
    with morphoindex.open(tmp_path / "other", create=True, encoder=DEFAULT):
        pass
    with morphoindex.open(tmp_path / "other") as index:
        assert index.status().specimens == 0


def test_dry_run_changes_nothing(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    draw(tmp_path / "a.png", 1)
    cli("init")
    assert cli.json("add", ".", "--dry-run")["added"] == 1
    assert cli.json("status")["specimens"] == 0


def test_status_json(here: Cli) -> None:
    answer = here.json("status")
    assert (answer["specimens"], answer["paths"], answer["refused"]) == (24, 24, 0)
    assert set(answer["encoder"]) == {"name", "fingerprint", "dim"}
    assert answer["index"] == str(here.folder / ".morphoindex")
    assert answer["store"] == "Qdrant Edge (embedded)"
    assert answer["labels"] == ["species"]


def test_cluster_json(here: Cli) -> None:
    answer = here.json("cluster", "--threshold", "0.7")
    told = {"method", "specimens", "noise", "clusters", "events", "verified", "retention", "seconds"}
    told |= {"neighbours", "recall", "dry_run"}
    assert set(answer) == {*told, "threshold", "linkage", "before"}
    assert (answer["method"], answer["threshold"], answer["specimens"]) == ("cosine", 0.7, 24)
    assert sum(c["size"] for c in answer["clusters"]) + answer["noise"] == 24
    assert all(Path(path).is_file() for c in answer["clusters"] for path in c["examples"])
    again = here.json("cluster", "--min-cluster-size", "3", "--min-samples", "2")
    assert set(again) == {*told, "min_cluster_size", "min_samples", "selection", "before"}
    assert again["before"] == {"method": "cosine", "threshold": 0.7, "linkage": "single"}
    assert (again["method"], again["min_cluster_size"]) == ("hdbscan", 3)
    tried = here.json("cluster", "--threshold", "0.7", "--dry-run")
    assert (tried["dry_run"], tried["before"]["method"]) == (True, "hdbscan")
    assert here.json("cluster", "--threshold", "0.7")["before"]["method"] == "hdbscan"


def test_options_of_the_other_method_are_said_to_be_unused(here: Cli) -> None:
    assert "not used with a threshold" in here("cluster", "--threshold", "0.7", "--min-samples", "3").stderr
    assert "not used" not in here("cluster", "--min-cluster-size", "3", "--min-samples", "2").stderr


def test_clusters_keep_their_ids_when_the_index_grows(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    for kind in (0, 1):
        for i in range(8):
            draw(tmp_path / f"photos/{kind}/{i}.png", kind, i)
    cli("add", "photos", "--labels", "folder")

    def named() -> dict[str, str]:
        cli("cluster", "--min-cluster-size", "4", "--min-samples", "2")
        rows = cli.json(
            "sql", "SELECT species, cluster, count(*) FROM specimens WHERE cluster IS NOT NULL GROUP BY ALL"
        )["rows"]
        return {species: cluster for species, cluster, number in sorted(rows, key=lambda row: row[2])}

    before = named()
    for kind in (2, 3):
        for i in range(8):
            draw(tmp_path / f"photos/{kind}/{i}.png", kind, i)
    cli("add", "photos", "--labels", "folder")
    after = named()
    assert len(before) == 2
    assert {kind: after[kind] for kind in before} == before
    assert len(set(after.values())) == 4


def test_search_json(here: Cli) -> None:
    answer = here.json("search", "photos/kind1/0.png", "-k", "4")
    assert answer["query"] == "photos/kind1/0.png"
    assert len(answer["hits"]) == 4
    best = answer["hits"][0]
    assert set(best) == {"id", "path", "score", "labels", "cluster"}
    assert best["path"] == str(here.folder / "photos/kind1/0.png")
    assert best["score"] == pytest.approx(1.0, abs=1e-4)
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)
    by_id = here.json("search", best["id"][:10], "-k", "4")["hits"]
    assert best["id"] not in [hit["id"] for hit in by_id]
    assert [hit["id"] for hit in by_id][:3] == [hit["id"] for hit in answer["hits"]][1:]


def test_search_where(here: Cli) -> None:
    hits = here.json("search", "photos/kind1/0.png", "-k", "24", "--where", "species in (kind2, kind3) and width = 96")[
        "hits"
    ]
    assert sorted(hit["labels"]["species"] for hit in hits) == ["kind2"] * 6 + ["kind3"] * 6
    assert here.json("search", "photos/kind1/0.png", "--where", "width > 96")["hits"] == []
    assert "Nothing in the index matches" in here("search", "photos/kind1/0.png", "--where", "width > 96").stdout


def test_dedup_json(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    original = draw(tmp_path / "photos/a.png", 0, size=200)
    from PIL import Image

    with Image.open(original) as image:
        image.convert("RGB").save(tmp_path / "photos/b.jpg", quality=95)
    (tmp_path / "photos/c.png").write_bytes(original.read_bytes())
    draw(tmp_path / "photos/d.png", 3)
    cli("add", "photos")
    answer = cli.json("dedup")
    assert set(answer) == {"threshold", "neighbours", "pairs", "compared", "groups", "unread", "seconds"}
    (group,) = answer["groups"]
    assert group["keep"] == str(original)
    assert [Path(d["path"]).name for d in group["drop"]] == ["c.png", "b.jpg"]
    assert group["drop"][0]["similarity"] == 1.0
    assert answer["threshold"] <= group["drop"][1]["similarity"] <= 1.0
    assert [d["how"] for d in group["drop"]] == ["bytes", "frame"]
    assert "2 files beside a better one" in cli("dedup").stdout


def test_a_failed_init_leaves_nothing_behind(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli("init", "--qdrant-url", "http://127.0.0.1:9", code=2)
    cli("init")
    assert cli.json("status")["store"] == "Qdrant Edge (embedded)"


def test_output_into_a_closed_pipe_is_no_error(here: Cli) -> None:
    program = f"{sys.executable} -m morphoindex sql 'SELECT * FROM range(200000)' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", program], cwd=here.folder, env=here.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("format", ["csv", "parquet", "json"])
def test_report_assignments(here: Cli, tmp_path: Path, format: str) -> None:
    out = tmp_path / f"assignments.{format}"
    assert here.json("report", "assignments", "--format", format, "--out", out)["rows"] == 24
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM '{out}'")
        columns = ["path", "id", "cluster", "cluster_name", "verified", "probability", "species"]
        assert [column[0] for column in found.description or ()] == columns
        rows = found.fetchall()
    assert len(rows) == 24
    assert all(Path(row[0]).parent.name == row[6] for row in rows)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


@pytest.mark.parametrize("format", ["npz", "parquet"])
def test_report_embeddings_can_be_added_elsewhere(here: Cli, tmp_path: Path, format: str) -> None:
    out = tmp_path / f"embeddings.{format}"
    here("report", "embeddings", "--out", out)
    if format == "npz":
        with np.load(out) as arrays:
            assert set(arrays.files) == {"ids", "paths", "embeddings"}
            assert np.linalg.norm(arrays["embeddings"], axis=1) == pytest.approx(np.ones(24), abs=1e-5)
    other = Cli(tmp_path)
    assert other.json("add", "--embeddings", out)["added"] == 24
    assert other.json("add", "--embeddings", out)["known"] == 24
    some = here.json("sql", "SELECT id FROM specimens ORDER BY id LIMIT 1")["rows"][0][0]
    theirs, ours = (cli.json("search", some, "-k", "5")["hits"] for cli in (here, other))
    assert [(hit["id"], hit["path"]) for hit in ours] == [(hit["id"], hit["path"]) for hit in theirs]


def test_report_overview(here: Cli) -> None:
    shown = here("report").stdout
    assert "most frequent species" in shown
    assert "species: 4 values: kind0 6, kind1 6, kind2 6, kind3 6" in shown
    assert "size  name  most frequent" in shown
    answer = here.json("report")
    assert all(cluster["share"] == 1.0 for cluster in answer["clusters"])


def test_sql(here: Cli) -> None:
    answer = here.json("sql", "SELECT species, count(*) AS n FROM specimens GROUP BY ALL ORDER BY ALL")
    assert answer == {"columns": ["species", "n"], "rows": [[f"kind{i}", 6] for i in range(4)]}
    assert "kind3" in here("sql", "SELECT DISTINCT species FROM specimens").stdout
    shown = " ".join(here("sql", "--help").stdout.split())
    for view in ("specimens", "paths", "clusters", "runs", "events", "decisions"):
        assert view in shown
        assert here.json("sql", f"SELECT count(*) AS n FROM {view}")["columns"] == ["n"]


def test_remove(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    for i in range(3):
        draw(tmp_path / f"{i}.png", i)
    cli("add", ".")
    some = cli.json("search", "0.png", "-k", "1")["hits"][0]["id"]
    told = {"removed": 2, "paths": 0, "specimens": 1, "labelled": 0}
    assert cli.json("remove", some[:8], "1.png", "--dry-run") == told
    assert cli.json("remove", some[:8], "1.png") == told
    assert (tmp_path / "1.png").is_file()
    assert cli.json("check")["clean"]
    assert "neither a specimen" in cli("remove", some, code=2).stderr
    assert cli.json("add", ".")["added"] == 2


def test_check_and_rebuild(here: Cli) -> None:
    before = here.json("sql", "SELECT * FROM specimens ORDER BY id")
    assert here.json("check", "--files")["clean"]
    assert here.json("rebuild") == {"specimens": 24}
    assert here.json("sql", "SELECT * FROM specimens ORDER BY id") == before
    assert "Clean: 24 specimens, 24 paths" in here("check").stdout


def test_add_in_a_folder_below_says_whose_index_it_is(cli: Cli, tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1)
    assert "goes into the index of" not in cli("add", ".").stderr
    draw(tmp_path / "below" / "b.png", 2)
    below = Cli(tmp_path / "below")
    assert f"this goes into the index of {tmp_path}; --index DIR" in below("add", ".").stderr
    assert below("add", ".", "--index", "..").stderr.count("goes into") == 0


def test_encoder_list_and_show(here: Cli) -> None:
    listed, quantised = here.json("encoder", "list")["encoders"]
    assert (listed["name"], quantised["name"]) == ("insect-128", "insect-128-int8")
    assert (listed["index"], quantised["index"]) == ("current", None)
    shown = here.json("encoder", "show", listed["name"])
    assert shown["fingerprint"] == listed["fingerprint"] == here.json("status")["encoder"]["fingerprint"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cluster", "--threshold", "1.7"], "a cosine lies between -1 and 1"),
        (["cluster", "--threshold", "high"], "not a valid float"),
        (["cluster", "--min-cluster-size", "1"], "at least 2"),
        (["cluster", "--min-samples", "0"], "at least 1"),
        (["cluster", "--method", "cosine"], "needs a --threshold"),
        (["cluster", "--method", "hdbscan", "--threshold", "0.8"], "goes with --method cosine"),
        (["remove"], "--without-file"),
        (["add", "photos", "--labels", "{family"], "a brace is missing"),
        (["add", "photos", "--labels", "folder="], "name the column"),
        (["cluster", "--method", "kmeans"], "'hdbscan', 'cosine'"),
        (["sample", "-n", "0"], "at least 1"),
        (["sample", "-n", "3", "--by", "genus"], "there are species"),
        (["sample"], "Missing option '-n'"),
        (["search", "photos/kind0/0.png", "-k", "0"], "at least 1"),
        (["search", "nowhere.jpg"], "there is no file nowhere.jpg"),
        (["search", "photos"], "is a folder"),
        (["search", "photos/kind0/0.png", "--where", "genus = Apis"], "there are species, cluster"),
        (["dedup", "--threshold", "2"], "a cosine lies between -1 and 1"),
        (["report", "assignments", "--out", "a.npz"], "csv, parquet, json, xlsx"),
        (["report", "everything"], "No such command 'everything'"),
        (["report", "assignments", "--out", "no/such/folder/a.csv"], "cannot be written"),
        (["sql", "SELEC 1"], "syntax error"),
        (["sql", "DELETE FROM path"], "sql"),
        (["add"], "give the photographs"),
        (["add", "no-such-folder"], "there is no file or folder no-such-folder"),
        (["add", "photos", "--labels", "wings"], "a pattern such as"),
        (["add", "photos", "--encoder", "no-such-encoder"], "insect-128"),
        (["add", "photos", "--max-megapixels", "0"], "above 0"),
        (["init"], "there is an index"),
        (["frobnicate"], "No such command"),
        (["sampel"], "No such command 'sampel'. Did you mean sample? `morphoindex --help` lists the commands."),
        (["--index", "elsewhere", "status"], "no index at elsewhere"),
    ],
)
def test_wrong_use_says_what_is_allowed(here: Cli, arguments: list[str], says: str) -> None:
    done = here(*arguments, code=2)
    assert says in done.stderr, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) <= 6


def test_no_index_says_how_to_make_one(tmp_path: Path) -> None:
    done = Cli(tmp_path)("status", code=2)
    assert "`morphoindex add PHOTOS` makes one" in done.stderr


def test_the_index_can_be_named_by_the_environment(here: Cli, tmp_path: Path) -> None:
    elsewhere = Cli(tmp_path)
    elsewhere.environment["MORPHOINDEX_INDEX"] = str(here.folder / ".morphoindex")
    assert elsewhere.json("status")["specimens"] == 24


def test_json_is_all_there_is_on_stdout(here: Cli) -> None:
    for arguments in (["status"], ["check"], ["report"], ["dedup"], ["encoder", "list"], ["clusters", "list"]):
        json.loads(here(*arguments, "--json").stdout)


def test_quiet_says_nothing_by_the_way(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1)
    assert Cli(tmp_path)("add", ".", "-q").stderr == ""
