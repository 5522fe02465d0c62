"""Words of header texts are found however they are joined, accented or capitalised."""

import pytest

from ctacal.dicom.headers.words import plain, plain_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("WB_CTAC_3.0", "wb ctac 3 0"),
        ("CTAC3.75mm", "ctac 3 75 mm"),
        ("CTACHelical", "ctachelical | ctac helical"),
        ("Schwächungskorrektur", "schwachungskorrektur"),
        ("correction d\u2019atte\u0301nuation", "correction d attenuation"),
        ("Großes Feld", "grosses feld"),
        ("µMap", "\u03bcmap"),
        ("조영제 없음", "조영제 없음"),
        ("__--..", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_no_phrase_spans_two_texts() -> None:
    assert plain_texts("Thorax CT", "", "AC joint") == "thorax ct | ac joint"
