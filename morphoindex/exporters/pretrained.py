"""Networks of transformers, from a folder or from the hub, without running code that comes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_session
from torch import nn
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import logging

from morphoindex.errors import CheckpointInvalid
from morphoindex.exporters.quiet import quiet

_SHOWN = 4


def is_offline(source: str) -> bool:
    """Whether only what is here already can be used: a folder, or a hub that cannot be reached.

    transformers would try for half a minute to find that out, and say so at each try.
    """
    if Path(source).exists():
        return True
    if constants.HF_HUB_OFFLINE:
        return True
    try:
        with quiet():
            get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # whatever the HTTP client of the day raises: it is not there
        return True
    return False


def load_pretrained(
    source: str, classes: Mapping[str, type[PreTrainedModel]], dropped: Iterable[str], offline: bool
) -> nn.Module:
    """Load a network in float32, and see that every weight is there and none is left over.

    Args:
        source: a folder, or a hub id.
        classes: `model_type` of the configuration -> class.
        dropped: beginnings of the names of weights that nothing is made of, such as a head's: they may be left over or
            missing.
        offline: nothing is fetched.

    Raises:
        CheckpointInvalid: it cannot be had or read, is of another type, or its weights do not fit; they are named.
    """
    config = _configuration(source, offline)
    kind = str(getattr(config, "model_type", None))
    if kind not in classes:
        raise CheckpointInvalid(f"{source} is a network of type {kind!r}, not one of {', '.join(classes)}")
    logging.disable_progress_bar()
    try:
        with quiet():
            network, report = classes[kind].from_pretrained(
                source, config=config, local_files_only=offline, trust_remote_code=False, dtype="float32",
                output_loading_info=True, ignore_mismatched_sizes=True, attn_implementation="eager",
            )  # fmt: skip
    except Exception as error:  # OSError, ValueError, safetensors' and pickle's own
        raise CheckpointInvalid(f"the weights of {source} cannot be read: {first_sentence(error)}") from error
    wrong = [f"{name} is {tuple(found)}, not {tuple(wanted)}" for name, found, wanted in report["mismatched_keys"]]
    missing, extra = (
        [key for key in report[kind_of_keys] if not key.startswith(tuple(dropped))]
        for kind_of_keys in ("missing_keys", "unexpected_keys")
    )
    refuse_unfit(source, kind, missing, extra, wrong)
    return network


def refuse_unfit(
    source: str, kind: str, missing: Iterable[str] = (), extra: Iterable[str] = (), wrong: Iterable[str] = ()
) -> None:
    """Name what does not fit.

    Raises:
        CheckpointInvalid: anything is missing, left over or of a wrong shape.
    """
    unfit = {"missing": sorted(missing), "not known": sorted(extra), "wrong shape": sorted(wrong)}
    clauses = [f"{words}: {_named(names)}" for words, names in unfit.items() if names]
    if clauses:
        raise CheckpointInvalid(f"the weights of {source} are not those of this {kind}; {'; '.join(clauses)}")


def first_sentence(error: BaseException) -> str:
    """The first line of an error, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(". ")


def _configuration(source: str, offline: bool) -> Any:
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise CheckpointInvalid(f"{source} has no config.json: give a folder as save_pretrained writes it, or a hub id")
    try:
        with quiet():
            return AutoConfig.from_pretrained(source, local_files_only=offline, trust_remote_code=False)
    except Exception as error:  # OSError, ValueError, KeyError, the hub's own
        if Path(source).exists():
            raise CheckpointInvalid(f"{source} is not a network of transformers: {first_sentence(error)}") from error
        why = "the hub cannot be reached, and it was not fetched before" if offline else first_sentence(error)
        raise CheckpointInvalid(f"{source} is not a folder here, nor to be had from the hub: {why}") from error


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
