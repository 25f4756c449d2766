"""The methods of `Index` for more than one encoder."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from morphoindex.indexer.results.encoders import Comparison, Dropped, Reembedding, ReembedResult, Switched
from morphoindex.indexer.session import Session

if TYPE_CHECKING:
    from morphoindex.indexer.explaining.looking import Look


class EncoderMethods:
    """How an index comes to another encoder, and from one to another; and what an encoder looks at."""

    _session: Session

    def reembed(
        self,
        encoder: str | None = None,
        *,
        dry_run: bool = False,
        max_megapixels: float = 200,
        report: Callable[[Reembedding], None] = lambda done: None,
    ) -> ReembedResult:
        """Give all specimens that lack it a vector of an encoder, by reading their photographs again.

        The vectors that they have stay. Interrupted, it keeps what was done, and goes on from there the next time.

        Args:
            encoder: a built-in name, an ONNX file, or one that the index holds; by default the current one.
            dry_run: only find out what would be read.
            max_megapixels: larger photographs are refused.
            report: told how far it is, after every committed batch.

        Raises:
            UsageError: there is no such encoder, its vectors were made elsewhere, or there are no photographs at all.
            EncoderInvalid: it is not an encoder of the contract; the index is then as it was.
        """
        from morphoindex.indexer.changeover.reembedding import reembed

        return reembed(self._session, encoder, dry_run, max_megapixels, report)

    def use(self, encoder: str) -> Switched:
        """Have search, clusters, duplicates and samples go by another encoder that the index holds, from now on.

        Clusters, their names and what people decided stand as they are; the next `cluster` goes by the new vectors.

        Raises:
            UsageError: the index holds no such encoder, or no specimen has a vector of it.
        """
        from morphoindex.indexer.changeover.switching import use

        return use(self._session, encoder)

    def compare(self, a: str, b: str, *, threshold: float | None = None) -> Comparison:
        """What would be otherwise with encoder `b` than with `a`: neighbours, clusters. Decides and changes nothing.

        Both cluster as the last run did.

        Args:
            a, b: encoders that the index holds.
            threshold: cosine for the clusters of `b`, since those of two encoders are not on one scale.

        Raises:
            UsageError: the index does not hold both, or fewer than two specimens have vectors of both.
        """
        from morphoindex.indexer.changeover.comparison import compare

        return compare(self._session, a, b, threshold)

    def drop(self, encoder: str, *, dry_run: bool = False) -> Dropped:
        """Remove an encoder that is not the current one from the index, with its vectors.

        Raises:
            UsageError: the index holds no such encoder, it is the current one, or specimens have no other vector.
        """
        from morphoindex.indexer.changeover.switching import drop

        return drop(self._session, encoder, dry_run)

    def look(self, *images: str | os.PathLike[str], encoder: str | None = None) -> Look:
        """See through an encoder: which parts of a photograph matter, which make two alike, and what its layers show.

        `index.look("bee.jpg").importance().picture.show()`. The index can be closed before the look is used.

        Args:
            images: one or two: paths of images, or specimens of the index by id, by the beginning of an id, or by path.
            encoder: a built-in name, an ONNX file, or one that the index holds; by default the current one.

        Raises:
            UsageError: there is no such usable image or encoder, or the vectors of the index were made elsewhere.
        """
        from morphoindex.indexer.explaining.finding import look_into

        return look_into(self._session, images, encoder)
