"""What the parts of an index need of it. `Index` is the one implementation; the parts know only this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from morphoindex.indexer.encoding.encoder import Encoder
from morphoindex.indexer.holdings.collection import Collection
from morphoindex.indexer.holdings.graph import Neighbours
from morphoindex.indexer.holdings.journal import Journal
from morphoindex.indexer.paths import Roots, to_text
from morphoindex.indexer.settings import EncoderEntry
from morphoindex.indexer.specimen import Specimen
from morphoindex.indexer.tables.where import Column

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.forest import ClusterForest


class Host(Protocol):
    """An open index, seen from its parts."""

    folder: Path
    journal: Journal

    @property
    def collection(self) -> Collection:
        """Store and catalog; may be another object after `pause`."""

    @property
    def entry(self) -> EncoderEntry:
        """The encoder worked with."""

    @property
    def roots(self) -> Roots:
        """The named roots; an ingest may add to them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns met so far."""

    @property
    def encounter_settings(self) -> Mapping[str, float]:
        """What a person said makes an encounter, where it is not the default."""

    def encoder(self, workers: int = 1) -> Encoder:
        """The encoder of the index."""

    def graph(self, min_samples: Sequence[int] = (), neighbours: Neighbours = "auto") -> ClusterForest:
        """The neighbour graph, with a tree for each of these k, brought up to the specimens there are."""

    def column_of(self, name: str) -> Column:
        """What a name in a condition stands for."""

    def remember(self, labels: Iterable[str]) -> None:
        """Make roots and label columns permanent, before specimens that use them are written."""

    def forget(self, labels: Iterable[str]) -> None:
        """Let go of label columns in which no specimen has a value any more."""

    def announce(self) -> None:
        """Say that the index is new, if it is and nobody was told so."""

    def pause(self) -> None:
        """Let other processes have the index, if any waits."""


def place(roots: Roots, specimen: Specimen) -> str | None:
    """The absolute path of a specimen's first present file, as text; None where it has none."""
    return to_text(roots.join(*specimen.paths[0].key)) if specimen.paths else None
