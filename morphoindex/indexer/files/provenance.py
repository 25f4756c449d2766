"""How an output came to be, in a small file beside it or in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from morphoindex.indexer.files.replacing import replacing
from morphoindex.indexer.output_folder import PROVENANCE, provenance_name
from morphoindex.indexer.settings import EncoderEntry


def provenance_file(out: Path) -> Path:
    """`set` -> `set/provenance.json` where that is a folder, else `a.csv` -> `a.csv.provenance.json`."""
    return out / PROVENANCE if out.is_dir() else out.with_name(provenance_name(out.name))


def read_provenance(out: Path) -> dict[str, Any]:
    """What is said of how an output was made; nothing where that is not known."""
    try:
        said = json.loads(provenance_file(out).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def write_provenance(
    out: Path, command: str, parameters: Mapping[str, Any], encoder: EncoderEntry | None, **more: Any
) -> Path:
    """Say how an output was made; gives the file that says it.

    Args:
        out: the file or folder that was written.
        command: what made it, such as "report map".
        parameters: what it was asked for, as JSON values.
        encoder: whose vectors it goes by, None where no encoder took part.
        more: what else there is to say: `specimens=620`, the clustering it shows, …

    Raises:
        UsageError: it cannot be written.
    """
    said = {
        "made_by": "morphoindex",
        "version": version("morphoindex"),
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dimensions": encoder.dim}
        if encoder
        else None,
        "parameters": dict(parameters),
        **more,
    }
    file = provenance_file(out)
    with replacing(file) as beside:
        beside.write_text(json.dumps(said, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return file
