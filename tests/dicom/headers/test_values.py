"""Numbers of decimal strings, well written and not: read where nothing else can be meant, else left out."""

from typing import Any

import pytest

from ctacal.dicom.headers.values import integer, number, numbers, texts


@pytest.mark.parametrize(
    ("written", "count", "expected"),
    [
        ("0.976562\\0.976562", 2, (0.976562, 0.976562)),
        (" -12.5 ", 1, (-12.5,)),
        ("+1.25E+02", 1, (125.0,)),
        ("1.0D+00", 1, (1.0,)),
        ("-249.51171875000000000000001\\0\\1", 3, (-249.51171875, 0.0, 1.0)),
        ("1\0", 1, (1.0,)),
        ("0,976562\\0,976562", 2, (0.976562, 0.976562)),
        ("-1024,0", 1, (-1024.0,)),
        ("1,25E-3", 1, (0.00125,)),
        ("-250,000\\-250,000\\1,024", 3, (-250.0, -250.0, 1.024)),
        ("-250,000\\-250,000\\10,000", 3, (-250.0, -250.0, 10.0)),
        ("1.024,5", 1, (1024.5,)),
        ("1,024.5", 1, (1024.5,)),
        ("0.97,0.97", 2, (0.97, 0.97)),
        ("0.97 0.97", 2, (0.97, 0.97)),
        ("0,97; 0,97", 2, (0.97, 0.97)),
        ("[0.97, 0.97]", 2, (0.97, 0.97)),
        ("['1', '0', '0', '0', '1', '0']", 6, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
        ("1,0,0,0,1,0", 6, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
        ("\u221212.5", 1, (-12.5,)),
        ("\x9612.5", 1, (-12.5,)),
        ("-\u00a012.5", 1, None),
    ],
)
def test_decimal_strings(written: str, count: int, expected: tuple[float, ...] | None) -> None:
    assert numbers(written, count) == expected


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("", 1), ("  ", 1), ("\\", 2), ("nan", 1), ("inf", 1), ("1_000", 1), ("5 mm", 1), ("1.0.0", 1), ("--1", 1),
        ("\uff11\uff12", 1), ("1e99", 1), ("0.97", 2), ("0.97\\0.97\\0.97", 2), ("1\\2", 1),
        ("-1,024", 1), ("1,024,000", 1), ("0,97", 2), ("1,25", 2), ("0,97,0,97", 2),
    ],
)  # fmt: skip
def test_what_is_no_number_or_may_be_two_is_left_out(written: str, count: int) -> None:
    assert numbers(written, count) is None


def test_a_comma_before_three_digits_is_decimal_where_thousands_are_absurd() -> None:
    assert numbers("1,367\\1,367", 2) is None
    assert numbers("1,367\\1,367", 2, largest=100) == (1.367, 1.367)


@pytest.mark.parametrize(("value", "expected"), [(3, 3), ("3", 3), ("3.0", 3), ("3.5", None), (None, None), ("", None)])
def test_integers(value: Any, expected: int | None) -> None:
    assert integer(value) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"12", object(), None, []])
def test_other_values_are_no_number(value: Any) -> None:
    assert number(value) is None


def test_texts_hold_printable_characters_only() -> None:
    assert texts("CTAC\0\x1b[31m ") == ("CTAC[31m",)
    assert texts(None) == ()
