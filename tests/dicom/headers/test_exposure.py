"""Exposure in mAs, whatever unit the manufacturer writes; what is implausible is not used."""

from typing import Any

import pytest

from ctacal.dicom.headers.exposure import exposure_mas, rotation_s


@pytest.mark.parametrize(
    ("elements", "expected_mas"),
    [
        # GE writes the share of the scan that falls on a slice; the header's own current and time say more
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "Exposure": "8", "XRayTubeCurrent": "530", "ExposureTime": "500"}, 265),
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "Exposure": "3", "XRayTubeCurrent": "100", "ExposureTime": "500"}, 50),
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "Exposure": "10268", "XRayTubeCurrent": "150", "ExposureTime": "1186"},
         177.9),
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "Exposure": "30", "XRayTubeCurrent": "100", "ExposureTime": "500"}, 50),
        ({"Manufacturer": "GE HEALTHCARE", "ExposureInuAs": "10268", "XRayTubeCurrent": "150", "RevolutionTime": 0.8},
         120),
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "Exposure": "8"}, None),
        # Hawkeye: a small tube and a slow rotation
        ({"Manufacturer": "GE MEDICAL SYSTEMS", "XRayTubeCurrent": "2.5", "ExposureTime": "13800"}, 34.5),
        # the removed name of a manufacturer changes nothing for values that contradict each other
        ({"Exposure": "8", "XRayTubeCurrent": "530", "ExposureTime": "500"}, 265),
        ({"Exposure": "10268", "XRayTubeCurrent": "150", "ExposureTime": "1186"}, 177.9),
        ({"Exposure": "10268"}, None),
        # effective mAs (divided by the pitch), modulated current
        ({"Manufacturer": "SIEMENS", "Exposure": "123", "XRayTubeCurrent": "148", "ExposureTime": "500"}, 123),
        ({"Manufacturer": "TOSHIBA", "Exposure": "84", "XRayTubeCurrent": "480", "ExposureTime": "275"}, 84),
        ({"Manufacturer": "Philips", "Exposure": "150", "XRayTubeCurrent": "188"}, 150),
        # the time of the whole scan says nothing about a rotation
        ({"Manufacturer": "Philips", "Exposure": "25", "XRayTubeCurrent": "50", "ExposureTime": "15000"}, 25),
        ({"XRayTubeCurrent": "50", "ExposureTime": "15000"}, None),
        ({"XRayTubeCurrent": "50", "ExposureTime": "15000", "RevolutionTime": 0.5}, 25),
        # other units and places
        ({"ExposureInuAs": "25300", "Exposure": "25", "XRayTubeCurrent": "50", "ExposureTime": "500"}, 25.3),
        ({"ExposureInuAs": "25", "Exposure": "26"}, 26),
        ({"ExposureInuAs": "25300"}, 25.3),
        ({"XRayTubeCurrentInuA": "40500", "XRayTubeCurrent": "41", "ExposureTimeInuS": "500000"}, 20.25),
        ({"XRayTubeCurrent": "40", "ExposureTime": "500000"}, None),
        ({"ExposureInmAs": 31.5, "XRayTubeCurrentInmA": 40.0, "ExposureTimeInms": 800.0}, 31.5),
        ({"ExposureInmAs": 0.0, "XRayTubeCurrentInmA": 40.0, "ExposureTimeInms": 800.0}, 32),
        # nothing, nonsense
        ({}, None),
        ({"Exposure": "0"}, None),
        ({"Exposure": "0", "XRayTubeCurrent": "0", "ExposureTime": "500"}, None),
        ({"Exposure": "-20"}, None),
        ({"Exposure": "20 mAs"}, None),
        ({"Exposure": "20", "XRayTubeCurrent": "auto", "ExposureTime": "500"}, 20),
        ({"Exposure": "20\\30"}, None),
        ({"XRayTubeCurrent": "40"}, None),
    ],
)  # fmt: skip
def test_exposure_of_a_rotation(elements: dict[str, Any], expected_mas: float | None) -> None:
    mas = exposure_mas(elements.get)
    assert mas == (None if expected_mas is None else pytest.approx(expected_mas))


@pytest.mark.parametrize(
    ("elements", "expected_s"),
    [
        ({"RevolutionTime": 0.5, "ExposureTime": "1186"}, 0.5),
        ({"RevolutionTime": 500.0, "ExposureTime": "1186"}, 1.186),
        ({"RevolutionTime": 0.0, "ExposureTimeInms": 400.0}, 0.4),
        ({"ExposureTimeInuS": "500000"}, 0.5),
        ({"ExposureTime": "500000"}, None),
        ({"ExposureTime": "0"}, None),
        ({}, None),
    ],
)
def test_rotation_time(elements: dict[str, Any], expected_s: float | None) -> None:
    assert rotation_s(elements.get) == expected_s
