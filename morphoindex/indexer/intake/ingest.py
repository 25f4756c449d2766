"""Photographs into the index: discover, skip what is known, read and embed on all cores, commit batch by batch."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from morphoindex.indexer.descriptions.captures import Captures
from morphoindex.indexer.descriptions.labels import Labeller, called
from morphoindex.indexer.descriptions.relabelling import Giving
from morphoindex.indexer.encoding.reading import Candidate, Outcome, Reader, identify, in_order, in_portions
from morphoindex.indexer.host import Host
from morphoindex.indexer.intake.batch import Batch, Counts, Told, closed, described, now
from morphoindex.indexer.interrupts import uninterrupted
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.photographs import passed_over
from morphoindex.indexer.photographs.discovery import Found, Unusable, discover

_LOOK_UP = 4096  # files whose ledger entries are fetched at once


class Ingest:
    """One run of `add`.

    Args:
        host: the index.
        reader: reads and embeds; not needed for a dry run.
        labels: gives the labels of a path, if any were asked for; giving: counts what they come to.
        captures: gives what is told of the capture of a path, if anything was.
        workers: threads that read and embed.
        report: told the counts after every committed batch.
        say: told which encoder runs where, once there is something to read.
    """

    def __init__(
        self,
        host: Host,
        reader: Reader,
        labels: Labeller | None = None,
        giving: Giving | None = None,
        captures: Captures | None = None,
        workers: int = 2,
        report: Callable[[Counts], None] = lambda counts: None,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._host = host
        self._reader = reader
        self._labels = labels
        self._giving = giving or Giving("")
        self._captures = captures
        self._workers = workers
        self._report = report
        self._say = say
        self._walked: set[str] = set()
        self._passed: set[str] = set()
        self.counts = Counts()

    def run(self, inputs: Sequence[str]) -> Counts:
        """Bring everything that the inputs mean into the index. Interrupted, it keeps what was committed."""
        start = now()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="ingest")
        try:
            for outcomes in in_portions(self._ordered(pool, self._bites(inputs))):
                self._commit(outcomes)
        finally:
            pool.shutdown(cancel_futures=True)
        with uninterrupted():
            self._drop_old_refusals(start)
            self._close_gone()
        self._say_what_was_passed()
        return self.counts

    def plan(self, inputs: Sequence[str]) -> Counts:
        """What `run` would look at: files it would read count as added.

        Where labels are to be given, files that may be known by their content are told by it, as `run` does.
        """
        for bite, known in self._bites(inputs, dry=True):
            if not self._labels:
                self.counts.added += len(bite)
            else:
                self._foresee(bite, known)
        self._say_what_was_passed()
        return self.counts

    # -- from inputs to bites of work ---------------------------------------------------------------------------

    def _bites(self, inputs: Sequence[str], dry: bool = False) -> Iterator[tuple[list[Candidate], set[str]]]:
        """Files to read, as many at once as the encoder takes, with the ids that their content may turn out to have."""
        size = self._reader.encoder.batch
        for chunk in _chunks(discover(inputs, self._walked, self._passed), _LOOK_UP):
            usable = list({found.path: found for found in chunk if isinstance(found, Found)}.values())
            unusable = list({found.path: found for found in chunk if isinstance(found, Unusable)}.values())
            with uninterrupted():
                candidates = self._unseen(usable, dry)
                sizes = {found.size for found, _ in candidates}
                known = self._host.collection.catalog.same_size(list(sizes)) if candidates else set()
            if unusable:
                self._refuse_unusable(unusable, dry)
            elif not dry:
                self._report(self.counts)
            for start in range(0, len(candidates), size):
                yield [candidate for _, candidate in candidates[start : start + size]], known

    def _unseen(self, found: Sequence[Found], dry: bool) -> list[tuple[Found, Candidate]]:
        """Those files that the ledger does not know as they are now; the others are counted."""
        roots, catalog = self._host.roots, self._host.collection.catalog
        keys = [roots.split(file.path, file.given) for file in found]
        if not dry:
            self._host.remember(())  # new roots, before another process can take their names
        unseen: list[tuple[Found, Candidate]] = []
        unchanged: list[tuple[str, tuple[str, str], str]] = []
        for file, key, entry in zip(found, keys, catalog.ledger(keys), strict=True):
            same = entry is not None and (entry.size, entry.mtime_ns) == (file.size, file.mtime_ns)
            if same and entry is not None and entry.state == "present" and entry.id:
                unchanged.append((entry.id, key, file.path))
            else:
                unseen.append((file, Candidate(file.path, *key)))
        self.counts.known += len(unchanged)
        if unchanged and (self._labels or (self._captures and not dry)):
            self._redescribe(unchanged, dry)
        return unseen

    def _refuse_unusable(self, unusable: Sequence[Unusable], dry: bool) -> None:
        if dry:
            self.counts.refused.update({to_text(file.path): file.reason for file in unusable})
            self._excuse(file.path for file in unusable)
            return
        candidates = [Candidate(file.path, *self._host.roots.split(file.path, file.given)) for file in unusable]
        pairs = zip(candidates, unusable, strict=True)
        self._commit([Outcome(candidate, reason=file.reason) for candidate, file in pairs])

    # -- from bites to outcomes -----------------------------------------------------------------------------------

    def _ordered(
        self, pool: ThreadPoolExecutor, bites: Iterable[tuple[list[Candidate], set[str]]]
    ) -> Iterator[list[Outcome]]:
        """Outcomes in the order of the files, with a bounded number of bites under way."""
        encoder = self._reader.encoder

        def told() -> Iterator[tuple[list[Candidate], set[str]]]:
            for number, bite in enumerate(bites):
                if number == 0:
                    self._host.announce()
                    self._say(f"encoder {encoder.info.name} on {encoder.place}, {self._workers} threads")
                yield bite

        return in_order(pool, lambda bite: self._reader.outcomes(*bite), told(), self._workers * 3)

    # -- from outcomes to the index ---------------------------------------------------------------------------------

    def _commit(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        with uninterrupted():
            batch = Batch(self._host.collection, self._host.roots, self._told, self.counts, self._giving)
            batch.settle(outcomes)
            self._host.remember(batch.label_columns())
            self._giving.write_down(self._host.journal)
            batch.write()
            self._excuse(o.candidate.path for o in outcomes if o.reason)
            self.counts.refused.update({to_text(o.candidate.path): o.reason for o in outcomes if o.reason})
        self._report(self.counts)
        self._host.pause()

    def _foresee(self, candidates: Sequence[Candidate], known: set[str]) -> None:
        """Count what files would come to that were not yet read, and the labels that they would get."""
        sizes = [_size(candidate.path) for candidate in candidates]
        alike = self._host.collection.catalog.sizes_there(filter(None, sizes)) if known else set()
        there = [identify(one) for one, size in zip(candidates, sizes, strict=True) if size in alike]
        there = [outcome for outcome in there if outcome.id in known]
        Batch(self._host.collection, self._host.roots, self._told, self.counts, self._giving).settle(there)
        met = {outcome.candidate for outcome in there}
        rest = [candidate for candidate in candidates if candidate not in met]
        entries = self._host.collection.catalog.ledger([(candidate.root, candidate.text) for candidate in rest])
        self.counts.added += len(rest)
        for candidate, entry in zip(rest, entries, strict=True):
            if entry and entry.state == "refused":  # likely to be refused again, though it would be read
                self._excuse([candidate.path])
            else:
                labels = self._told(candidate.path).labels
                self._giving.meet(candidate.path, None, labels, labels.keys(), candidate.path)

    def _told(self, path: str) -> Told:
        """What was given for a path."""
        known = self._host.labels
        labels = {called(c, known): value for c, value in self._labels(path).items()} if self._labels else {}
        if not labels and self._labels:
            self._giving.miss(path)
        return Told(labels, self._captures(path) if self._captures else {})

    def _excuse(self, refused: Iterable[str]) -> None:
        """Have rows of a table that name files which were refused not count as rows that met no file."""
        if self._labels:
            for path in refused:
                self._labels(path)

    def _redescribe(self, unchanged: Sequence[tuple[str, tuple[str, str], str]], dry: bool) -> None:
        """Give unchanged files (specimen, key, path) what is told of them now, where the specimen lacks it."""
        collection = self._host.collection
        has = collection.catalog.descriptions([specimen for specimen, _, _ in unchanged])
        told_of = [(specimen, key, path, self._told(path)) for specimen, key, path in unchanged]
        wanted = [(one, key, told) for one, key, _, told in told_of if not told.within(*has.get(one, ({}, {})))]
        before = collection.get(list({specimen for specimen, _, _ in wanted}))
        after = dict(before)
        for specimen, key, told in wanted:
            if specimen in after:
                after[specimen] = described(after[specimen], key, told)
        met: dict[str, tuple[str, set[str]]] = {}
        for specimen, _, path, told in told_of:
            met.setdefault(specimen, (path, set()))[1].update(told.labels)
        for specimen, (path, columns) in met.items():
            labels = has.get(specimen, ({}, {}))[0]
            self._giving.meet(specimen, labels, after[specimen].labels if specimen in after else labels, columns, path)
        if dry:
            return
        self._giving.write_down(self._host.journal)
        changed = [specimen for specimen in after.values() if specimen != before[specimen.id]]
        self._host.remember(dict.fromkeys(column for specimen in changed for column in specimen.labels))
        collection.change(changed)

    def _drop_old_refusals(self, start: str) -> None:
        """Forget refusals that did not come up again, because the file is gone or what was gone through is well now."""
        catalog, roots = self._host.collection.catalog, self._host.roots
        for refused in catalog.refused():
            path = roots.join(refused.root, refused.path)
            well = not os.path.isfile(path) and self._went_through(path)
            if refused.seen < start and (well or path in self._walked or not os.path.lexists(path)):
                catalog.forget_path(refused.root, refused.path)

    def _close_gone(self) -> None:
        """Close the paths in the folders gone through whose files are no longer there. Their specimens stay."""
        collection, roots = self._host.collection, self._host.roots
        for folder in sorted(walked for walked in self._walked if os.path.isdir(walked)):
            for root, text in roots.within(folder):
                for rows in collection.catalog.present(root, text):
                    gone: dict[str, list[tuple[str, str]]] = {}
                    for below, specimen in rows:
                        if _is_gone(roots.join(root, below)):
                            gone.setdefault(specimen, []).append((root, below))
                    found = collection.get(list(gone))
                    collection.change([closed(one, gone[one.id], now()) for one in found.values()])
                    self.counts.gone += sum(map(len, gone.values()))

    def _say_what_was_passed(self) -> None:
        for words in passed_over.in_words(self._passed):
            self._say(words)

    def _went_through(self, path: str) -> bool:
        """Whether the path is a folder or list that this run has gone through, or lies in one."""
        while path not in self._walked:
            if path == (path := os.path.dirname(path)):
                return False
        return True


def _size(path: str) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def _is_gone(path: str) -> bool:
    """Whether there is nothing at the path; not whether it merely cannot be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _chunks(items: Iterable[Found | Unusable], size: int) -> Iterator[list[Found | Unusable]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
