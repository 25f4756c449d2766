"""The methods of `Index` that judge its clusters."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from morphoindex.indexer.session import Session

if TYPE_CHECKING:
    from morphoindex.indexer.results.evaluation import Evaluation


class EvaluationMethods:
    """How good the clusters are."""

    _session: Session

    def evaluate(
        self,
        labels: str | None = None,
        where: str | None = None,
        *,
        compare: bool | Sequence[str] = False,
        encoder: str | None = None,
        out: str | os.PathLike[str] | None = None,
        force: bool = False,
        report: Callable[[str], None] = lambda method: None,
    ) -> Evaluation:
        """How good the clusters are that the index has, by the vectors alone and by labels; see docs/evaluation.md.

        Args:
            labels: the column of labels to go by; by default the one that says most.
            where: judge only specimens that meet this condition, as for `search`.
            compare: also cluster by other methods, all or these of `contenders.CONTENDERS`, and judge what they give.
                Nothing of that is kept.
            encoder: by the vectors of another encoder than the current one.
            out: a folder, new or empty, for `clustering_metrics.xlsx`, `clustering_metrics.png`, and their provenance.
            force: also into one that holds something; files of these names are replaced.
            report: told the name of each method before it runs.

        Raises:
            UsageError: there is no such column, method or encoder, the condition is wrong, nothing was clustered yet,
                there is nothing to judge, or the folder holds something or cannot be written to.
        """
        from morphoindex.indexer.judgement.contenders import CONTENDERS
        from morphoindex.indexer.judgement.evaluation import evaluate
        from morphoindex.indexer.judgement.evaluation_files import write_evaluation
        from morphoindex.indexer.output_folder import claim_folder

        methods = (tuple(CONTENDERS) if compare else ()) if isinstance(compare, bool) else tuple(compare)
        if out is not None:
            claim_folder(Path(out), force)  # before the work is done
        with self._session.looking_with(encoder):
            found = evaluate(self._session, labels, where, methods, report)
            if out is None:
                return found
            return replace(found, written=write_evaluation(found, Path(out), self._session.entry))
