"""The planted species: what each looks like, and where it is found."""

from __future__ import annotations

from dataclasses import dataclass

from morphoindex.demo.sketch import Colour


@dataclass(frozen=True)
class Palette:
    """The colours of a species; what each one paints is up to its form."""

    main: Colour
    second: Colour
    mark: Colour
    body: Colour
    accent: Colour


@dataclass(frozen=True)
class Species:
    """One planted species.

    `form` names the drawing (see `drawing.FORMS`); `background` and `base` name what it stands on and its colour.
    `size` is the picture in pixels, `reach` the scale of the animal as a share of the shorter side, `centre` its usual
    place in shares of the picture, `common` how many single animals there are as a share of the usual count, and `pin`
    where a pin goes through it.
    """

    name: str
    order: str
    family: str
    form: str
    palette: Palette
    background: str
    base: Colour
    size: tuple[int, int] = (320, 256)
    reach: float = 0.43
    centre: tuple[float, float] = (0.5, 0.5)
    common: float = 1.0
    pin: tuple[float, float] | None = None

    @property
    def folder(self) -> str:
        """The name of its folder: `Aglais io` -> `aglais_io`."""
        return self.name.lower().replace(" ", "_")


SPECIES: tuple[Species, ...] = (
    Species(
        "Aglais io",
        "Lepidoptera",
        "Nymphalidae",
        "peacock",
        Palette((168, 52, 26), (96, 74, 62), (24, 18, 20), (74, 44, 32), (70, 104, 190)),
        "paper",
        (236, 224, 198),
        reach=0.51,
        centre=(0.5, 0.53),
        common=1.3,
        pin=(0.0, -0.2),
    ),
    Species(
        "Papilio machaon",
        "Lepidoptera",
        "Papilionidae",
        "swallowtail",
        Palette((246, 220, 96), (30, 26, 28), (206, 60, 40), (58, 50, 36), (72, 116, 196)),
        "paper",
        (196, 210, 224),
        reach=0.48,
        centre=(0.5, 0.47),
        pin=(0.0, -0.2),
    ),
    Species(
        "Polyommatus icarus",
        "Lepidoptera",
        "Lycaenidae",
        "blue",
        Palette((92, 128, 220), (36, 36, 62), (250, 250, 248), (96, 112, 160), (60, 84, 180)),
        "meadow",
        (150, 174, 74),
        reach=0.51,
        common=0.8,
    ),
    Species(
        "Danaus plexippus",
        "Lepidoptera",
        "Nymphalidae",
        "monarch",
        Palette((238, 122, 24), (22, 18, 20), (252, 250, 244), (28, 24, 26), (250, 190, 96)),
        "blossom",
        (150, 190, 240),
        reach=0.52,
        centre=(0.5, 0.52),
    ),
    Species(
        "Actias luna",
        "Lepidoptera",
        "Saturniidae",
        "luna",
        Palette((182, 226, 158), (132, 52, 84), (236, 214, 110), (246, 244, 232), (60, 60, 80)),
        "night",
        (34, 38, 84),
        size=(288, 336),
        reach=0.41,
        centre=(0.5, 0.43),
        common=0.7,
    ),
    Species(
        "Zygaena filipendulae",
        "Lepidoptera",
        "Zygaenidae",
        "burnet",
        Palette((26, 48, 66), (16, 22, 32), (216, 28, 40), (18, 22, 30), (70, 120, 130)),
        "meadow",
        (222, 196, 120),
        size=(272, 320),
        reach=0.52,
        centre=(0.5, 0.52),
    ),
    Species(
        "Coccinella septempunctata",
        "Coleoptera",
        "Coccinellidae",
        "ladybird",
        Palette((214, 36, 24), (20, 16, 18), (20, 16, 18), (20, 16, 18), (246, 244, 236)),
        "leaf",
        (88, 152, 56),
        size=(304, 288),
        reach=0.46,
        common=1.4,
    ),
    Species(
        "Leptinotarsa decemlineata",
        "Coleoptera",
        "Chrysomelidae",
        "striped_beetle",
        Palette((246, 214, 92), (32, 26, 24), (206, 118, 40), (214, 122, 44), (60, 40, 30)),
        "leaf",
        (122, 168, 146),
        size=(288, 304),
        reach=0.46,
        common=0.8,
    ),
    Species(
        "Rosalia alpina",
        "Coleoptera",
        "Cerambycidae",
        "longhorn",
        Palette((132, 164, 196), (18, 20, 26), (206, 220, 232), (122, 154, 188), (70, 100, 140)),
        "wood",
        (184, 128, 90),
        size=(272, 336),
        reach=0.46,
        centre=(0.5, 0.57),
    ),
    Species(
        "Cetonia aurata",
        "Coleoptera",
        "Scarabaeidae",
        "chafer",
        Palette((38, 152, 70), (18, 74, 50), (240, 240, 220), (34, 110, 66), (220, 190, 80)),
        "blossom",
        (250, 216, 222),
        size=(304, 288),
        reach=0.47,
        common=1.2,
    ),
    Species(
        "Lucanus cervus",
        "Coleoptera",
        "Lucanidae",
        "stag",
        Palette((92, 40, 24), (34, 22, 20), (120, 48, 26), (32, 22, 22), (170, 90, 50)),
        "paper",
        (200, 216, 186),
        size=(256, 336),
        reach=0.5,
        centre=(0.5, 0.55),
        common=0.7,
        pin=(0.13, 0.02),
    ),
    Species(
        "Graphosoma italicum",
        "Hemiptera",
        "Pentatomidae",
        "shieldbug",
        Palette((216, 44, 30), (24, 20, 22), (238, 120, 60), (24, 20, 22), (240, 220, 190)),
        "blossom",
        (224, 226, 96),
        size=(288, 304),
        reach=0.46,
        centre=(0.5, 0.53),
    ),
    Species(
        "Bombus terrestris",
        "Hymenoptera",
        "Apidae",
        "bumblebee",
        Palette((34, 28, 28), (238, 186, 36), (246, 242, 230), (34, 28, 28), (210, 220, 232)),
        "blossom",
        (136, 112, 206),
        size=(304, 296),
        reach=0.45,
        common=1.2,
    ),
    Species(
        "Polistes dominula",
        "Hymenoptera",
        "Vespidae",
        "wasp",
        Palette((246, 206, 34), (22, 18, 18), (236, 130, 30), (22, 18, 18), (220, 176, 110)),
        "stone",
        (206, 198, 184),
        size=(288, 320),
        reach=0.46,
        centre=(0.5, 0.46),
    ),
    Species(
        "Episyrphus balteatus",
        "Diptera",
        "Syrphidae",
        "hoverfly",
        Palette((244, 164, 42), (30, 24, 24), (138, 34, 26), (112, 104, 62), (222, 232, 240)),
        "daisy",
        (244, 208, 44),
        size=(320, 288),
        reach=0.44,
        centre=(0.5, 0.46),
    ),
    Species(
        "Libellula depressa",
        "Odonata",
        "Libellulidae",
        "chaser",
        Palette((120, 168, 216), (52, 34, 26), (236, 204, 70), (84, 56, 38), (236, 242, 248)),
        "sky",
        (112, 172, 228),
        size=(336, 272),
        reach=0.54,
        centre=(0.5, 0.45),
    ),
    Species(
        "Calopteryx virgo",
        "Odonata",
        "Calopterygidae",
        "demoiselle",
        Palette((30, 40, 116), (20, 110, 120), (60, 84, 176), (24, 92, 112), (180, 220, 220)),
        "water",
        (118, 166, 158),
        size=(336, 256),
        reach=0.5,
        centre=(0.5, 0.5),
        common=0.8,
    ),
    Species(
        "Tettigonia viridissima",
        "Orthoptera",
        "Tettigoniidae",
        "bushcricket",
        Palette((112, 178, 52), (72, 126, 36), (150, 110, 60), (142, 198, 74), (190, 214, 100)),
        "meadow",
        (234, 176, 106),
        size=(336, 248),
        reach=0.54,
        centre=(0.52, 0.56),
    ),
)
