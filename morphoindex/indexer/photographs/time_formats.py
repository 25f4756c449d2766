"""Times in file names, by a format."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from morphoindex.errors import UsageError

_TOKEN = re.compile(r"%(YYYY|mm|dd|HH|MM|SS|.|$)", re.DOTALL)
_DIGITS = {"Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d", "d": r"\d\d", "j": r"\d{3}", "H": r"\d\d", "M": r"\d\d",
           "S": r"\d\d", "f": r"\d{1,6}"}  # fmt: skip
_HOW = "write it such as %Y%m%d%H%M%S or %Y-%m-%d_%H-%M-%S; %YYYY, %mm, %dd, %HH, %MM and %SS are understood, too"


def time_reader(form: str) -> Callable[[str], str]:
    """What finds a time in a path.

    Args:
        form: `%Y` `%y` `%m` `%d` `%j` (day of the year) `%H` `%M` `%S` `%f` (part of a second) `%%`, or the older
            spelling `%YYYY-%mm-%dd_%HH-%MM-%SS`. It is searched inside the file's name; with `/` in it, in the folders
            above, too. A digit right before or after does not belong to a time.

    Returns:
        A function from a path to ISO 8601, that of the first valid time: `…_20230908001617-00.png` ->
        `2023-09-08T00:16:17`. It raises ValueError, in words, where there is none.

    Raises:
        UsageError: the format has an unknown field, one twice, or does not tell the day and the minute.
    """
    expression, names = _compiled(form)
    levels = form.count("/") + 1

    def read(path: str) -> str:
        name = "/".join(path.replace("\\", "/").split("/")[-levels:])
        found = list(expression.finditer(name))
        for match in found:
            try:
                return _time(dict(zip(names, match.groups(), strict=True))).isoformat()
            except ValueError:
                continue
        raise ValueError(f"{found[0][0]} is no time" if found else f"no time like {form} in the name")

    return read


def _compiled(form: str) -> tuple[re.Pattern[str], list[str]]:
    names: list[str] = []
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(form):
        parts.append(re.escape(form[end : token.start()]))
        end = token.end()
        name = token[1][:1]
        if name == "%":
            parts.append("%")
            continue
        if name not in _DIGITS:
            raise UsageError(f"--time-format {form!r}: there is no field %{name}; {_HOW}")
        if name in names:
            raise UsageError(f"--time-format {form!r}: %{name} stands in it twice")
        names.append(name)
        parts.append(f"({_DIGITS[name]})")
    parts.append(re.escape(form[end:]))
    there = set(names)
    if not (there & {"Y", "y"} and (there >= {"m", "d"} or "j" in there) and there >= {"H", "M"}):
        raise UsageError(f"--time-format {form!r} does not tell year, day, hour and minute; {_HOW}")
    return re.compile(rf"(?<!\d){''.join(parts)}(?!\d)", re.ASCII), names


def _time(fields: dict[str, str]) -> datetime:
    value = {name: int(digits) for name, digits in fields.items()}
    year = value["Y"] if "Y" in value else value["y"] + (1900 if value["y"] >= 69 else 2000)  # as POSIX has it
    clock = (value["H"], value["M"], value.get("S", 0), int(fields.get("f", "0").ljust(6, "0")))
    if "j" not in value:
        return datetime(year, value["m"], value["d"], *clock)
    day = datetime(year, 1, 1, *clock) + timedelta(days=value["j"] - 1)
    if day.year != year:
        raise ValueError
    return day
