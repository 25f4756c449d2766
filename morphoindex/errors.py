"""Every error that a user of morphoindex can meet.

    MorphoindexError
    ├── UsageError             an argument is not one of those allowed; the message says which are
    ├── IndexError_
    │   ├── IndexNotFound      no index here or above
    │   ├── IndexLocked        another process has it open, and we waited long enough
    │   ├── IndexDamaged       a part is missing or unreadable; the message names the command that mends it
    │   └── IndexTooNew        written by a later version of morphoindex
    ├── ImageRefused           this file cannot become a specimen; `reason` says why
    ├── EncoderError
    │   ├── EncoderInvalid     not an ONNX file of the contract
    │   ├── EncoderMismatch    another fingerprint than the index was built with
    │   ├── CheckpointInvalid  a network's checkpoint cannot be read, or is that of another network
    │   ├── ParityError        an encoder file does not give what the network gives that it was made from
    │   └── RuntimeMissing     onnxruntime, or what the extra `train` brings, is not installed
    ├── EmbeddingsInvalid      vectors from elsewhere with a wrong shape, dtype, values or ids
    ├── SplitLeaks             what belongs together is on different sides of a split; nothing was written
    └── StoreError             the vector store failed or cannot be reached

Errors of Pillow, ONNX Runtime, Qdrant and DuckDB are translated where they arise; none of them
reaches a caller. The command line catches `MorphoindexError` once, prints one line, and exits with 2.
"""


class MorphoindexError(Exception):
    """The base of all errors below."""


class UsageError(MorphoindexError):
    """An argument is not one of those allowed."""


class IndexError_(MorphoindexError):  # noqa: N801  the builtin has the plain name
    """Something about the index as a whole."""


class IndexNotFound(IndexError_):
    """There is no index in this folder or above it."""


class IndexLocked(IndexError_):
    """Another process has the index open."""


class IndexDamaged(IndexError_):
    """A part of the index is missing or cannot be read."""


class IndexTooNew(IndexError_):
    """The index was written by a later version of morphoindex."""


class ImageRefused(MorphoindexError):
    """A file cannot become a specimen.

    `reason` is a short clause fit for a table, such as "empty file" or "not an image".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EncoderError(MorphoindexError):
    """Something about an encoder."""


class EncoderInvalid(EncoderError):
    """The file is not an encoder of the contract (see docs/encoders.md)."""


class EncoderMismatch(EncoderError):
    """The index was built with another encoder."""


class CheckpointInvalid(EncoderError):
    """A network's checkpoint cannot be read, or is that of another network."""


class ParityError(EncoderError):
    """An encoder file does not give what the network gives that it was made from."""


class RuntimeMissing(EncoderError):
    """onnxruntime, or what the extra `train` brings, is not installed."""


class EmbeddingsInvalid(MorphoindexError):
    """Vectors made elsewhere cannot be taken in as they are."""


class SplitLeaks(MorphoindexError):
    """What belongs together is on different sides of a split."""


class StoreError(MorphoindexError):
    """The vector store failed or cannot be reached."""
