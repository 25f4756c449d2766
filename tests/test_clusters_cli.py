"""`morphoindex clusters …` as a person and as another program use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from morphoindex.cli.clusters import clusters

COMMANDS = ["list", "show", "name", "merge", "split", "move", "suggest", "verify", "apart", "undo", "history"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three kinds of five photographs, added and clustered."""
    folder = tmp_path_factory.mktemp("clusters")
    encoder = str(tiny.encoder(folder / "tiny.onnx"))
    tiny.photos(folder / "photos", 3, 5)
    cli = tiny.Cli(folder)
    cli("add", "photos", "--labels", "folder", "--encoder", encoder)
    cli("cluster", "--threshold", "0.9")
    return folder


@pytest.fixture
def cli(whole: Path, tmp_path: Path) -> tiny.Cli:
    """The command line in a copy of it."""
    return tiny.Cli(tiny.copied(whole, tmp_path))


def of(cli: Any, kind: int) -> str:
    """The cluster of a kind."""
    asked = f"SELECT cluster FROM specimens WHERE species = 'kind{kind}' GROUP BY ALL ORDER BY count(*) DESC LIMIT 1"
    return str(cli.json("sql", asked)["rows"][0][0])


def test_all_commands_are_tested_here() -> None:
    assert list(clusters.commands) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(cli: tiny.Cli, command: str) -> None:
    shown = cli("clusters", command, "--help").stdout
    assert shown.startswith(f"Usage: morphoindex clusters {command}")
    assert "--json" in shown
    assert ("--dry-run" in shown) == (command not in ("list", "show", "history"))


def test_a_tour(cli: tiny.Cli) -> None:
    one, other, third = (of(cli, kind) for kind in range(3))
    assert "3 clusters of 15 specimens, 0 in none." in cli("clusters", "list").stdout
    assert cli("clusters", "suggest").stdout == "Every specimen is in a cluster: there is nothing to suggest.\n"

    done = cli("clusters", "name", one.lower(), "Danaus plexippus").stdout
    assert done == f'Decision 1: {one} named "Danaus plexippus". Undo: `morphoindex clusters undo 1`.\n'
    done = cli("clusters", "merge", "danaus plexippus", other).stdout
    assert done.startswith(f"Decision 2: {other} merged into {one}. 5 specimens changed cluster. Undo: ")
    done = cli("clusters", "move", "photos/kind2/0.png", "photos/kind2/1.png", "--to", one).stdout
    assert done.startswith(f"Decision 3: 2 specimens moved to {one}. 2 specimens changed cluster.")
    (found,) = [c for c in cli.json("cluster", "--threshold", "0.9", "--dry-run")["clusters"] if c["id"] == one]
    assert not [path for path in found["examples"] if "kind2" in path]
    done = cli("clusters", "verify", third).stdout
    assert done.startswith(f"Decision 4: 3 specimens verified in {third}. Undo")
    done = cli("clusters", "split", one, "photos/kind0/0.png").stdout
    assert done.startswith(f"Decision 5: C0004 with 1 specimen split off {one}. 1 specimen changed cluster.")
    assert "told apart" in cli("clusters", "apart", one, third).stdout

    shown = cli("clusters", "list").stdout
    assert "3 clusters of 15 specimens, 0 in none, 6 verified (100% in place)." in shown
    assert "Danaus plexippus" in shown
    assert other not in shown
    assert f"merged into {one}: 5 in {one}" in cli("clusters", "list", "--all").stdout

    shown = cli("clusters", "show", one).stdout
    assert f'{one} "Danaus plexippus": 11 specimens, 2 verified' in shown
    assert "photos/kind2/" not in "".join(shown.splitlines()[3:-2])  # what a person brought comes last
    last = shown.splitlines()[-1].split()
    assert last[1] == "verified"
    assert last[-1].startswith("photos/kind2/")

    assert "chains" not in cli("cluster", "--threshold", "-1").stderr
    cli("cluster", "--min-cluster-size", "100")
    cli("cluster", "--threshold", "0.9")
    assert "6 verified (100% in place)" in cli("clusters", "list").stdout

    told = cli("clusters", "history", other).stdout
    assert told.startswith(f"{other}: merged into {one}; its last members: 5 in {one}.")
    assert f"{other} merged into {one}: 5 specimens from here to {one}" in told
    assert f"decision 2 ({other} merged into {one}) no longer holds." in cli("clusters", "undo", "2").stdout
    assert f"{other} merged into {one} (undone)" in cli("clusters", "history").stdout
    assert cli("clusters", "history", other).stdout.startswith(f"{other}: 5 specimens.")
    assert cli.json("check")["clean"]


def test_a_run_says_what_it_may_mean(cli: tiny.Cli) -> None:
    assert "it may be one cluster" in cli("cluster", "--min-cluster-size", "10").stdout
    assert "communities of fewer than 200 specimens are coarse" in cli("cluster", "--method", "community").stderr
    least = cli.json("cluster", "--threshold", "-1", "--dry-run")["clusters"][0]["least_similarity"]
    assert "of one kind, but chains of look-alikes" in cli("cluster", "--threshold", str(least + 0.01)).stderr


def test_json(cli: tiny.Cli) -> None:
    one, other, _ = (of(cli, kind) for kind in range(3))
    done = cli.json("clusters", "merge", one, other, "--dry-run")
    assert done == {
        "number": None, "kind": "merge", "clusters": sorted([one, other]), "words": f"{other} merged into {one}",
        "changed": 5, "remarks": [], "undo": None, "dry_run": True,
    }  # fmt: skip
    assert cli.json("clusters", "history") == {"entries": []}
    listed = cli.json("clusters", "list")
    assert (listed["specimens"], listed["retention"], len(listed["clusters"])) == (15, 1.0, 3)
    shown = cli.json("clusters", "show", one)
    assert (shown["size"], shown["label"], len(shown["members"])) == (5, "kind0", 5)
    assert cli.json("clusters", "history", one)["entries"][0]["words"] == "new, with 5 specimens"
    assert cli.json("cluster", "--threshold", "0.9")["retention"] == 1.0


def test_a_dry_run_says_so(cli: tiny.Cli) -> None:
    one, other, _ = (of(cli, kind) for kind in range(3))
    shown = cli("clusters", "merge", one, other, "--dry-run").stdout
    assert shown == f"Would be decided: {other} merged into {one}. 5 specimens would change cluster.\n"
    assert "Nothing was decided yet" in cli("clusters", "history").stdout


def test_an_undo_that_leaves_something_says_so(cli: tiny.Cli) -> None:
    one = of(cli, 0)
    cli("clusters", "split", one, "photos/kind0/0.png", "photos/kind0/1.png")
    cli("clusters", "name", "C0004", "Danaus")
    shown = cli("clusters", "undo", "1").stdout
    assert 'Note: decision 2 (C0004 named "Danaus") still holds, and keeps C0004.' in shown
    assert "dormant: 2 in " in cli("clusters", "list").stdout
    assert "tells where they went" in cli("clusters", "show", "Danaus").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "C0099"], "no cluster 'C0099': near it are C0003"),
        (["name", "C0099", "x"], "`morphoindex clusters list` shows those there are"),
        (["name", "C0001"], "Missing argument 'NAME'"),
        (["name", "C0001", ""], "C0001 has no name that could be taken away"),
        (["name", "C0001", "c9"], "'c9' reads as the id of a cluster"),
        (["name", "C0001", "a\x1b[31mred"], "control characters such as '\\x1b'"),
        (["merge", "C0001"], "Missing argument 'OTHER...'"),
        (["move", "photos/kind0/0.png"], "Missing option '--to'"),
        (["move", "nowhere.png", "--to", "C0001"], "neither a specimen of this index nor a file"),
        (["split", "C0001"], "a threshold: one of the two"),
        (["split", "C0001", "--threshold", "7"], "between -1 and 1"),
        (["undo"], "there is no decision to undo"),
        (["undo", "3"], "there is no decision 3; there are none yet"),
        (["history", "C0099"], "no cluster 'C0099'"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_wrong_use_says_what_is_allowed(cli: tiny.Cli, arguments: list[str], says: str) -> None:
    done = cli("clusters", *arguments, code=2)
    assert says in done.stderr, done.stderr
    assert done.stdout == ""
