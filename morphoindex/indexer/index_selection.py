"""The methods of `Index` that choose: near-duplicates, samples, splits, encounters."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.indexer.results.duplicates import Comparing, DedupResult
from morphoindex.indexer.results.sampling import SampleResult, WrittenSample
from morphoindex.indexer.results.splits import SplitResult
from morphoindex.indexer.session import Session

if TYPE_CHECKING:
    from morphoindex.indexer.folders.picture_folder import Files
    from morphoindex.indexer.folders.sample_folder import Layout
    from morphoindex.indexer.repeats.deduplication import Duplicates
    from morphoindex.indexer.results.encounters import EncounterResult
    from morphoindex.indexer.selection.sampling import Strategy


class SelectionMethods:
    """What `Index` has to say about which photographs belong together, and which to take."""

    _session: Session

    @property
    def duplicates(self) -> Duplicates:
        """Near-duplicates, and what is done about them: `index.duplicates.tag(index.dedup())`."""
        from morphoindex.indexer.repeats.deduplication import Duplicates

        return Duplicates(self._session)

    def dedup(
        self, threshold: float | None = None, *, report: Callable[[Comparing], None] = lambda done: None
    ) -> DedupResult:
        """Groups of files that show the same photograph, and the best of each; `duplicates.find` has more to set.

        Args:
            threshold: only pairs of at least this cosine are looked at; 0.5 by default.
            report: told how far it is.

        Raises:
            UsageError: the threshold is not a cosine.
        """
        return self.duplicates.find(threshold, report=report)

    def sample(
        self, n: int, by: str | None = None, where: str | None = None, *, strategy: Strategy = "cluster", seed: int = 0,
        unique: bool = False, report: Callable[[Comparing], None] = lambda done: None,
    ) -> SampleResult:  # fmt: skip
        """A subset, and what it is worth beside a random one.

        Args:
            n: how many; all there are if that is fewer.
            by: a label column whose values each give one specimen in turn, by the strategy; of `stratified`, the
                strata, by default the label that says most.
            where: a condition, as for `search`.
            strategy: "cluster", "kmeans", "coverage", "facility", "stratified" or "random", see docs/sampling.md.
            seed: of what is left to chance, and of the random sample beside.
            unique: of near-duplicates, and of the images of an encounter, at most one. Pictures that nobody has
                compared yet are compared first, which takes a while; `report` is told how far that is.

        Raises:
            UsageError: n is below 1, the column, the strategy or the condition is wrong, or nothing has such a label.
        """
        from morphoindex.indexer.subsets.sampling import sample

        return sample(self._session, n, strategy, by, where, seed, unique, report)

    def write_sample(
        self,
        chosen: SampleResult,
        out: str | os.PathLike[str],
        *,
        layout: Layout = "flat",
        files: Files = "copy",
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> WrittenSample:
        """Put the files of a sample into a folder of its own, with a `manifest.csv`. Begun before, it is finished.

        Args:
            chosen: of `sample`.
            out: the folder; new, empty, or with this sample.
            layout: "flat"; "imagefolder", a folder for each value of `chosen.by` or of the label that says most; or
                "huggingface", with a `metadata.jsonl`.
            files: "copy"; "link", hard links, or "symlink", symbolic ones, which take no room; or "none", the manifest
                alone.
            report: told how many of how many are done.

        Raises:
            UsageError: the folder is not such a one, cannot be written to, or layout and files do not go together.
        """
        from morphoindex.indexer.folders.sample_folder import write_sample

        return write_sample(self._session, chosen, Path(out), layout, files, report)

    def split(
        self,
        ratios: str | Sequence[float] | None = None,
        *,
        names: str | Sequence[str] | None = None,
        by: str | None = None,
        groups: str | Sequence[str] | None = None,
        site: str | None = None,
        night: bool | None = None,
        seed: int | None = None,
        name: str = "main",
        anew: bool = False,
        out: str | os.PathLike[str] | None = None,
        dry_run: bool = False,
        report: Callable[[Comparing], None] = lambda done: None,
    ) -> SplitResult:
        """Divide the specimens into sides that share nothing; a split is kept, and what is new joins it.

        Near-duplicates stay on one side, and the images of an encounter. Pictures that nobody has compared yet are
        compared first, which takes a while.

        Args:
            ratios: such as "80/10/10"; for a split that is there, that one's, as for all that is not given.
            names: of the sides; by default train, val and test, or train and test.
            by: the label column whose values each side gets its share of; by default the lowest rank, "" for none.
            groups: columns; specimens with the same value in one of them stay on one side.
            site: a column that is a group, too; with `night` only what was taken there in one night is.
            night: what one camera took in one night, noon to noon, stays on one side; of `site` where that is given.
            seed: another one deals otherwise.
            name: of the split; an index can have several.
            anew: draw it anew; what was on one side may go to another.
            out: a folder for a manifest of each side, and `certificate.json`.
            dry_run: only say what it would come to.
            report: told how far the comparing of pictures is.

        Raises:
            UsageError: what was asked for cannot be, or is not what the split of this name is.
            SplitLeaks: what belongs together was put on different sides before that was known. Nothing was written.
        """
        from morphoindex.indexer.subsets.splitting import Wish, split

        wish = Wish(
            ratios, None if names is None else several(names), by, None if groups is None else several(groups), site,
            night, seed,
        )  # fmt: skip
        return split(self._session, wish, name, anew, None if out is None else Path(out), dry_run, report)

    def encounters(
        self, *, similarity: float | None = None, distance: float | None = None, gap: float | None = None,
        quick_gap: float | None = None, dry_run: bool = False,
    ) -> EncounterResult:  # fmt: skip
        """One animal over several images of a camera, with the counts per camera and day.

        Two images are of one animal where they are alike, and follow each other quickly, or slowly and in one place.
        What is given is kept, and holds for all counts of encounters from then on.

        Args:
            similarity: cosine, at least.
            distance: between the centres of boxes, pixels, less than.
            gap: seconds, less than, for images within the distance.
            quick_gap: seconds, less than, whatever the distance.
            dry_run: only try these; nothing is kept.

        Raises:
            UsageError: one of them is not what is allowed.
        """
        from morphoindex.indexer.repeats.encounters import changed_rule, list_encounters

        given = {"similarity": similarity, "distance": distance, "gap": gap, "quick_gap": quick_gap}
        rule = changed_rule(self._session, given)
        if not dry_run and any(value is not None for value in given.values()):
            self._session.keep_encounter_settings(asdict(rule))
        return list_encounters(self._session, rule, dry_run)


def several(given: str | Sequence[str]) -> tuple[str, ...]:
    """One or several names: `"site"` -> `("site",)`."""
    return (given,) if isinstance(given, str) else tuple(given)
