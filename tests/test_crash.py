"""kill -9 at any moment: nothing acknowledged is lost, nothing is doubled, and the next command goes on from there.

MORPHOINDEX_TEST_SEED chooses other moments.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny

import morphoindex
from morphoindex.errors import StoreError
from morphoindex.indexer.holdings.history import read_history
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.identity.decisions import Undo, standing

SEED = int(os.environ.get("MORPHOINDEX_TEST_SEED", "1"))
ROUNDS = 16


class Place:
    """A folder with an encoder, photographs, and an index beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.index = folder / "index"

    def arguments(self, command: str, *more: str) -> list[str]:
        """A command line on this index."""
        return ["--index", str(self.index), command, *more]

    def add(self) -> list[str]:
        """The command line that adds the photographs."""
        encoder = str(self.folder / "tiny.onnx")
        return self.arguments("add", str(self.photos), "--labels", "folder", "--encoder", encoder)

    def copy(self, folder: Path) -> Place:
        """The whole of it elsewhere."""
        return Place(tiny.copied(self.folder, folder))

    def found(self) -> tiny.Seen:
        """What `status` and the tables say, where nothing is wrong."""
        return tiny.seen(self.index)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "place")
    made.folder.mkdir()
    tiny.encoder(made.folder / "tiny.onnx")
    return made


def run(arguments: list[str]) -> None:
    assert not tiny.killed_at(arguments, 0)


def spread(steps: int, rounds: int, salt: str) -> list[int]:
    """Steps to be killed at: one at random in each of so many stretches."""
    dice = random.Random(f"{SEED} {salt}")
    return sorted({1 + int((i + dice.random()) * steps / rounds) for i in range(rounds)})


def more_photos(folder: Path, turn: int) -> None:
    """Some new photographs, a copy of one, and a broken file."""
    for individual in range(6):
        kind = individual % 3
        tiny.photo(folder / f"kind{kind}" / f"{turn}-{individual}.png", kind, turn * 10 + individual)
    shutil.copyfile(folder / "kind0" / f"{turn}-0.png", folder / f"copy-{turn}.png")
    (folder / f"broken-{turn}.jpg").write_bytes(b"\xff\xd8 not much %d" % turn)


def test_add_survives_kills_at_random_moments(place: Place) -> None:
    dice = random.Random(SEED)
    for turn in (0, 1):  # the first makes the index, too, which takes longer
        more_photos(place.photos, turn)
        start = time.monotonic()
        run(place.add())
        whole = time.monotonic() - start
    kills = 0
    for turn in range(2, ROUNDS + 2):
        more_photos(place.photos, turn)
        if turn % 4:
            adding = tiny.process(place.add())
            adding.start()
            time.sleep(dice.uniform(0, whole))
            adding.kill()
            adding.join()
            kills += adding.exitcode == -signal.SIGKILL
        else:  # from its very start, as a person starts it
            python = [tiny.sys.executable, "-m", "morphoindex", *place.add()]
            with subprocess.Popen(python, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
                time.sleep(dice.uniform(0, whole + 1))
                started.kill()
            kills += started.returncode == -signal.SIGKILL
        tiny.assert_clean(place.index)
    assert kills >= ROUNDS // 8
    run(place.add())
    untouched = Place(place.folder / "untouched")
    untouched.photos, untouched.index = place.photos, place.folder / "other"
    run([*place.arguments("add")[:1], str(untouched.index), *place.add()[2:]])
    found = place.found()
    assert found == untouched.found()
    assert (found.status["specimens"], found.status["refused"]) == ((ROUNDS + 2) * 6, ROUNDS + 2)


def upheave(photos: Path) -> None:
    """Everything that can happen to a folder between two runs."""
    (photos / "kind0" / "0.png").rename(photos / "moved.png")
    (photos / "kind1" / "1.png").rename(photos / "kind2" / "moved.png")
    shutil.copyfile(photos / "kind2" / "2.png", photos / "kind2" / "again.png")
    shutil.copyfile(photos / "kind3" / "3.png", photos / "kind0" / "1.png")  # now shows what another file shows
    tiny.photo(photos / "kind0" / "2.png", 7, 7)  # now shows something new
    (photos / "kind1" / "3.png").write_bytes(b"no longer a picture")
    (photos / "kind1" / "4.png").unlink()
    (photos / "dangling.png").symlink_to("nowhere")
    for individual in range(5):
        tiny.photo(photos / "kind9" / f"{individual}.png", 9, individual)


def test_add_of_a_changed_folder_survives_a_kill_at_any_step(place: Place, tmp_path: Path) -> None:
    tiny.photos(place.photos)
    (place.photos / "broken.jpg").write_bytes(b"\xff\xd8")
    run(place.add())
    upheave(place.photos)
    tiny.photo(place.photos / "broken.jpg", 8, 8)  # has become readable
    reference = place.copy(tmp_path / "reference")
    steps = tiny.steps_of(reference.add())
    expected = reference.found()
    for step in spread(steps, 7, "change"):
        here = place.copy(tmp_path / "here")
        assert tiny.killed_at(here.add(), step), step
        tiny.assert_clean(here.index)
        run(here.add())
        assert here.found() == expected, step
        shutil.rmtree(here.folder)


def test_the_first_add_survives_a_kill_at_any_step(place: Place, tmp_path: Path) -> None:
    tiny.photos(place.photos, 2, 4)
    reference = place.copy(tmp_path / "reference")
    steps = tiny.steps_of(reference.add())
    expected = reference.found()
    for step in spread(steps, 6, "first"):
        here = place.copy(tmp_path / "here")
        assert tiny.killed_at(here.add(), step), step
        run(here.add())
        assert here.found() == expected, step
        assert not (here.index / ".morphoindex").exists()
        shutil.rmtree(here.folder)


def test_init_survives_a_kill_at_any_step(place: Place, tmp_path: Path) -> None:
    def init(here: Place) -> list[str]:
        return here.arguments("init", "--encoder", str(here.folder / "tiny.onnx"))

    steps = tiny.steps_of(init(place.copy(tmp_path / "reference")))
    for step in spread(steps, 5, "init"):
        here = place.copy(tmp_path / f"here{step}")
        assert tiny.killed_at(init(here), step), step
        again = tiny.process(init(here))
        again.start()
        again.join()
        with morphoindex.open(here.index) as index:  # made now, or whole before the kill
            assert index.status().encoder is not None
        tiny.assert_clean(here.index)


def memberships(place: Place) -> tuple[dict[str, str | None], set[frozenset[str]]]:
    """The cluster of each specimen, and the groups that they make, where nothing is wrong."""
    with morphoindex.open(place.index) as index:
        assert index.check().problems == ()
        clusters = dict(index.sql("SELECT id, cluster FROM specimens").rows)
    groups = {frozenset(i for i, c in clusters.items() if c == name) for name in set(clusters.values()) if name}
    return clusters, groups


def test_cluster_survives_a_kill_at_any_step(place: Place) -> None:
    tiny.photos(place.photos, 4, 5)
    run(place.add())
    expected = {}
    for threshold in ("0.9", "-1"):
        steps = tiny.steps_of(place.arguments("cluster", "--threshold", threshold))
        expected[threshold] = memberships(place)[1]
    assert [len(groups) for groups in expected.values()] == [4, 1]
    outcomes: Counter[str] = Counter()
    after, _ = memberships(place)
    for turn, step in enumerate(spread(steps, 8, "cluster")):
        threshold, before = ("0.9", "-1")[turn % 2], after
        tiny.killed_at(place.arguments("cluster", "--threshold", threshold), step)
        after, groups = memberships(place)
        assert after == before or groups == expected[threshold], step
        outcomes["old" if after == before else "new"] += 1
        runs = read_history(Journal(place.index)).runs
        assert [run.number for run in runs] == list(range(1, len(runs) + 1))
        assert not (place.index / "clustering.pending").exists()
    assert outcomes.keys() == {"old", "new"}


def test_decisions_survive_a_kill_at_any_step(place: Place) -> None:
    tiny.photos(place.photos, 3, 4)
    run(place.add())
    run(place.arguments("cluster", "--threshold", "0.9"))
    clusters, before = memberships(place)
    one, other = sorted(clusters)[:2]
    home, away = clusters[one], next(c for c in sorted(set(clusters.values()) - {clusters[one]}, key=str) if c)
    scripts = {
        "merge": ["merge", str(away), str(home)],
        "move": ["move", one, other, "--to", str(away)],
        "split": ["split", str(home), one],
    }
    outcomes: Counter[str] = Counter()
    for name, script in scripts.items():
        reference = place.copy(place.folder.parent / f"reference-{name}")
        steps = tiny.steps_of(reference.arguments("clusters", *script))
        expected = memberships(reference)[1]
        assert expected != before
        for step in spread(steps, 4, name):
            tiny.killed_at(place.arguments("clusters", *script), step)
            decisions = read_history(Journal(place.index)).decisions  # before another command comes by
            after, groups = memberships(place)
            stands = bool(decisions) and not isinstance(decisions[-1].decision, Undo)
            assert groups == expected if stands else after == clusters, (name, step)
            outcomes["new" if stands else "old"] += 1
            assert [d.number for d in decisions] == list(range(1, len(decisions) + 1))
            if stands:
                tiny.killed_at(place.arguments("clusters", "undo"), step)
            if standing(read_history(Journal(place.index)).decisions):
                run(place.arguments("clusters", "undo"))
            assert memberships(place)[0] == clusters
    assert outcomes.keys() == {"old", "new"}


def test_rebuild_survives_a_kill_at_any_step(place: Place) -> None:
    tiny.photos(place.photos)
    run(place.add())
    upheave(place.photos)
    run(place.add())
    run(place.arguments("cluster", "--threshold", "0.9"))
    expected = without_refused(tiny.tables(place.index))
    steps = tiny.steps_of(place.arguments("rebuild"))
    for step in spread(steps, 5, "rebuild"):
        tiny.killed_at(place.arguments("rebuild"), step)
        assert without_refused(tiny.seen(place.index).tables) == expected, step


def without_refused(tables: dict[str, Counter[str]]) -> dict[str, Counter[str]]:
    """The tables, without refusals and without what was once at a path that is refused now."""
    kept = {name: rows for name, rows in tables.items() if name != "paths"}
    return {**kept, "paths": Counter({row: n for row, n in tables["paths"].items() if "'state': present" in row})}


def test_remove_survives_a_kill_at_any_step(place: Place) -> None:
    tiny.photos(place.photos, 3, 4)
    run(place.add())
    everything = set(memberships(place)[0])
    gone = sorted(everything)[2:7]
    steps = tiny.steps_of(place.arguments("remove", *gone))
    run(place.add())
    outcomes: Counter[int] = Counter()
    for step in spread(steps, 6, "remove"):
        tiny.killed_at(place.arguments("remove", *gone), step)
        left = set(memberships(place)[0])
        assert left in (everything, everything - set(gone)), step
        outcomes[len(left)] += 1
        run(place.add())
        assert set(memberships(place)[0]) == everything
    assert len(outcomes) == 2


def test_reembed_survives_a_kill_at_any_step(place: Place, tmp_path: Path) -> None:
    tiny.photos(place.photos, 4, 5)
    run(place.add())
    two = str(tiny.encoder(place.folder / "two.onnx", "two", seed=2))
    before = tiny.tables(place.index)
    reference = place.copy(tmp_path / "reference")
    steps = tiny.steps_of(reference.arguments("reembed", "--encoder", two))
    outcomes: Counter[str] = Counter()
    for step in spread(steps, 6, "reembed"):
        here = place.copy(tmp_path / "here")
        assert tiny.killed_at(here.arguments("reembed", "--encoder", two), step), step
        with morphoindex.open(here.index) as index:
            assert tiny.seen_in(index).tables == before
            done = sum(held.specimens for held in index.status().encoders) - 20
            outcomes["none" if not done else "some" if done < 20 else "all"] += 1
            again = index.reembed(two)
            assert (again.embedded, again.lacking) == (20 - done, 0)
            assert index.use("two").lacking == 0
            assert index.check().problems == ()
        shutil.rmtree(here.folder)
    assert len(outcomes) > 1


def test_the_change_of_encoder_survives_a_kill_at_any_step(place: Place) -> None:
    tiny.photos(place.photos, 3, 4)
    run(place.add())
    two = str(tiny.encoder(place.folder / "two.onnx", "two", seed=2))
    run(place.arguments("reembed", "--encoder", two))
    names = ("two", "tiny")
    outcomes: Counter[object] = Counter()
    steps = tiny.steps_of(place.arguments("encoder", "use", "tiny"))
    for turn, step in enumerate(steps - back for back in (60, 12, 6, 3)):  # what matters is done at the end
        with morphoindex.open(place.index) as index:
            index.use(names[1 - turn % 2])
        tiny.killed_at(place.arguments("encoder", "use", names[turn % 2]), step)
        current = tiny.seen(place.index).status["encoder"].name
        outcomes["new" if current == names[turn % 2] else "old"] += 1
    assert outcomes.keys() == {"new", "old"}


def test_dropping_an_encoder_survives_a_kill_at_any_step(place: Place, tmp_path: Path) -> None:
    tiny.photos(place.photos, 3, 4)
    run(place.add())
    two = str(tiny.encoder(place.folder / "two.onnx", "two", seed=2))
    run(place.arguments("reembed", "--encoder", two))
    before = tiny.tables(place.index)
    steps = tiny.steps_of(place.copy(tmp_path / "reference").arguments("encoder", "drop", "two"))
    outcomes: Counter[tuple[int, ...]] = Counter()
    for step in spread(steps, 6, "drop"):
        here = place.copy(tmp_path / "here")
        assert tiny.killed_at(here.arguments("encoder", "drop", "two"), step), step
        with morphoindex.open(here.index) as index:
            assert tiny.seen_in(index).tables == before
            left = tuple(held.specimens for held in index.status().encoders)
            outcomes[left] += 1
            if len(left) == 2:
                assert index.drop("two").vectors == left[1]
            assert index.reembed(two).lacking == 0  # and it can be had again
            assert index.use("two").lacking == 0
            assert index.check().problems == ()
        shutil.rmtree(here.folder)
    assert len(outcomes) > 1


# --- a full disk -----------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all but so many megabytes."""
    filler = disk / "filler"
    with open(filler, "wb") as file:
        for _ in range((shutil.disk_usage(disk).free >> 20) - leave):
            file.write(bytes(1 << 20))
    return filler


@pytest.mark.parametrize("leave", [0, 3, 50])
def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, leave: int) -> None:
    photos = tiny.photos(tmp_path / "photos", 2, 4)
    later = tiny.photos(tmp_path / "later", 5, 4)
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with small_disk(tmp_path / "disk", 260) as disk:
        with morphoindex.open(disk / "index", create=True, encoder=encoder) as index:
            index.add(photos)
            index.cluster(0.9)
        before = tiny.tables(disk / "index")
        filler = fill(disk, leave)
        for attempt in ("add", "cluster", "status"):
            with pytest.raises(StoreError, match="full"), morphoindex.open(disk / "index") as index:
                {"add": lambda: index.add(later), "cluster": index.cluster, "status": index.status}[attempt]()
        filler.unlink()
        assert tiny.tables(disk / "index") == before
        with morphoindex.open(disk / "index") as index:
            assert index.add(later).added == 12  # the others are known by their content
            assert index.check().clean


def test_a_disk_that_runs_full_in_the_middle_leaves_the_index_usable(tmp_path: Path) -> None:
    photos = tiny.photos(tmp_path / "photos", 2, 4)
    (photos / "dangling.png").symlink_to("nowhere")  # is committed first, on its own
    encoder = str(tiny.encoder(tmp_path / "tiny.onnx"))
    with (
        small_disk(tmp_path / "disk", 260) as disk,
        morphoindex.open(disk / "index", create=True, encoder=encoder) as index,
    ):
        with pytest.raises(StoreError, match="full"):
            index.add(photos, report=lambda counts: (disk / "filler").exists() or (fill(disk, 20) and None))
        (disk / "filler").unlink()
        assert index.add(photos).added == 8
        assert index.check().clean
