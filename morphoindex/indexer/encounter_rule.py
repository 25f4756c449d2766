"""Encounters by the rule that the index keeps, or by another from now on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from morphoindex.indexer.encounter_results import EncounterResult
from morphoindex.indexer.encounters import changed_rule, list_encounters
from morphoindex.indexer.session import Session


def encounters(session: Session, given: Mapping[str, float | None], dry_run: bool) -> EncounterResult:
    """All encounters, by what is given from now on; see `Index.encounters`."""
    rule = changed_rule(session, given)
    if not dry_run and any(value is not None for value in given.values()):
        session.keep_encounter_settings(asdict(rule))
    return list_encounters(session, rule, dry_run)
