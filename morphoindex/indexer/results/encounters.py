"""What the calls of `Index` return that are about encounters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Encounter:
    """One animal over the images that a camera took of it.

    Attributes:
        id: of the first specimen; it stays while no earlier one is added.
        camera: None where it is not known.
        start, end: of the first and the last image, as their captures have it.
        images: how many specimens.
        clusters: those that they are in now, frequent ones first.
        path: of the first one; its id where it has none.
        specimens: ids, in order of time.
    """

    id: str
    camera: str | None
    start: str
    end: str
    images: int
    clusters: tuple[str, ...]
    path: str
    specimens: tuple[str, ...]


@dataclass(frozen=True)
class CameraDay:
    """What a camera saw on a day, "2024-05-01"; an encounter counts on the day of its first image."""

    camera: str | None
    day: str
    images: int
    encounters: int


@dataclass(frozen=True)
class EncounterResult:
    """The encounters of an index, from large to small.

    Attributes:
        similarity, distance, gap, quick_gap: what they were told by (see `selection.encounters.Rule`).
        specimens: of the index; images: those in encounters.
        days: per camera and day, in order.
        without_time: specimens without a time, without_vector: with one, but without a vector of the current encoder:
            both are in no encounter.
        without_camera: specimens with a time and no camera, which are taken as of one.
        without_place: specimens in encounters whose box is not known.
        dry_run: the settings were only tried.
    """

    similarity: float
    distance: float
    gap: float
    quick_gap: float
    specimens: int
    images: int
    encounters: tuple[Encounter, ...]
    days: tuple[CameraDay, ...]
    without_time: int
    without_vector: int
    without_camera: int
    without_place: int
    seconds: float
    dry_run: bool = False
