"""What `check` says of photographs that are not where or not as they were."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MissingPhotograph:
    """A photograph that is not where it was, or not as it was when it was added.

    Attributes:
        path: of the file; of the folder, where nothing of several in it is there.
        state: "gone"; "changed", of another size or, where it was read, of other content; "touched", of the same size
            but another time, where it was not read; "unreadable"; "no folder".
        reason: in words.
        id: of the specimen; None where it is a folder.
        elsewhere: whether the specimen has another file that is as it was.
        photographs: how many these are: 1, but where it is a folder.
    """

    path: str
    state: str
    reason: str
    id: str | None
    elsewhere: bool = False
    photographs: int = 1
