"""The libraries of training talk a great deal; what a user has to know is said by the commands."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime

_WARNING, _FATAL = 2, 4  # of ONNX Runtime; it starts with the first


@contextmanager
def quiet() -> Iterator[None]:
    """Let no library log or warn meanwhile. Errors are exceptions, and come through."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(_WARNING)
