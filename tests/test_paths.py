"""Paths as text, and roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphoindex.indexer.paths import Roots, from_text, to_text


@given(st.binary(max_size=40).filter(lambda raw: b"\0" not in raw))
def test_every_name_comes_back_from_its_text(raw: bytes) -> None:
    name = os.fsdecode(raw)
    text = to_text(name)
    assert from_text(text) == name
    assert os.fsencode(from_text(text)) == raw
    text.encode()  # valid Unicode
    assert len(text.splitlines()) <= 1


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_two_names_never_have_one_text(one: bytes, other: bytes) -> None:
    assert (to_text(os.fsdecode(one)) == to_text(os.fsdecode(other))) == (one == other)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("photos/Käfer 🪲.jpg", "photos/Käfer 🪲.jpg"),
        (os.fsdecode(b"caf\xe9\n.jpg"), r"caf\xe9\x0a.jpg"),
        ("a\\b.jpg", r"a\\b.jpg"),
        (r"not an escape \x41", r"not an escape \\x41"),
        ("a\u2028b\x9b", r"a\u2028b\u009b"),
        ("non\N{NO-BREAK SPACE}breaking", "non\N{NO-BREAK SPACE}breaking"),
    ],
)
def test_what_text_looks_like(name: str, text: str) -> None:
    assert to_text(name) == text
    assert from_text(text) == name


def test_a_path_belongs_to_the_innermost_root(tmp_path: Path) -> None:
    roots = Roots(tmp_path / ".morphoindex", {"home": "..", "inner": "../photos/trap"})
    assert roots.split(f"{tmp_path}/photos/a.jpg", "") == ("home", "photos/a.jpg")
    assert roots.split(f"{tmp_path}/photos/trap/a.jpg", "") == ("inner", "a.jpg")
    assert roots.split(f"{tmp_path}/photos/trapped/a.jpg", "") == ("home", "photos/trapped/a.jpg")
    assert roots.split(f"{tmp_path}/photos/trap", "") == ("inner", ".")
    for key in (("home", "photos/a.jpg"), ("inner", "a.jpg"), ("inner", ".")):
        assert roots.split(roots.join(*key), "") == key


def test_a_new_root_is_named_after_its_folder(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "home" / ".morphoindex", {"home": ".."})
    for folder in ("x/photos", "y/photos", "z/home"):
        place = f"{tmp_path}/{folder}"
        name, text = roots.split(f"{place}/1/a.jpg", place)
        assert text == "1/a.jpg"
        assert roots.join(name, text) == f"{place}/1/a.jpg"
    assert list(roots.places) == ["home", "photos", "photos-2", "home-2"]


def test_a_new_root_always_holds_the_path(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "home" / ".morphoindex", {"home": ".."})
    elsewhere = f"{tmp_path}/behind/a/link"
    assert roots.split(f"{elsewhere}/1.jpg", f"{tmp_path}/given")[1] == "1.jpg"
    assert roots.split(f"{elsewhere}/2.jpg", f"{tmp_path}/given") == ("link", "2.jpg")
    assert "given" not in roots.places


def test_roots_move_with_the_index(tmp_path: Path) -> None:
    before = Roots(tmp_path / "a" / ".morphoindex", {"home": ".."})
    after = Roots(tmp_path / "b" / ".morphoindex", dict(before.places))
    key = before.split(f"{tmp_path}/a/photos/1.jpg", "")
    assert after.join(*key) == f"{tmp_path}/b/photos/1.jpg"


def test_a_root_with_an_odd_name_survives_its_text(tmp_path: Path) -> None:
    odd = f"{tmp_path}/{os.fsdecode(bytes([0xE9, 10]))}"
    first = Roots(tmp_path / "i" / ".morphoindex", {})
    key = first.split(f"{odd}/a.jpg", odd)
    again = Roots(tmp_path / "i" / ".morphoindex", dict(first.places))
    assert again.join(*key) == f"{odd}/a.jpg"
    assert again.split(f"{odd}/a.jpg", odd) == key


def test_a_folder_stands_in_the_roots_around_it_and_in_those_inside_it(tmp_path: Path) -> None:
    home = tmp_path.resolve()
    roots = Roots(home / "index", {"home": "..", "traps": str(home / "far" / "traps")})
    assert roots.within(str(home / "far")) == [("traps", "."), ("home", "far")]
    assert roots.within(str(home / "far" / "traps" / "a")) == [("home", "far/traps/a"), ("traps", "a")]
    assert roots.within(str(home)) == [("traps", "."), ("home", ".")]
    assert roots.within("/nowhere/else") == []
