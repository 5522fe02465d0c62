"""The comparison of simulated with real CT: its verdicts, its page, and its message if scans are missing."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctacal.dicom.volume import read_volume
from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.heart import find_heart
from ctacal.simulate.phantom.thorax import draw_thorax
from ctacal.simulate.realism.comparison import (
    BEYOND_HEART_MM,
    BMI_SPAN,
    Comparison,
    RealScan,
    Row,
    around_heart,
    as_json,
    bmi_of_area,
    matched,
    read_real,
)
from ctacal.simulate.realism.figures import Figures, measure_scan
from ctacal.simulate.realism.page import page_of
from ctacal.simulate.realism.report import phantom_figures, write_realism
from ctacal.simulate.realism.water import scan_water
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.study import draw_study
from ctacal.volume import Volume
from tests import places
from tests.simulate.bodies import PROTOCOL


@pytest.fixture(scope="module")
def thorax() -> Volume:
    return draw_thorax(noise_sd_hu=10.0, plaques=()).volume


@pytest.mark.parametrize(
    ("real", "verdict"), [(45.0, "alike"), (60.0, "alike"), (67.0, "alike"), (75.0, "near"), (80.0, "differs")]
)
def test_verdict_depends_on_the_distance_from_the_simulated_range(real: float, verdict: str) -> None:
    assert Row("muscle: median HU", real, mean=50.0, least=40.0, most=60.0).verdict == verdict  # 8 HU are allowed


def test_every_figure_has_its_own_tolerance() -> None:
    assert Row("blood pool: noise SD HU", 10.0, mean=12.6, least=12.6, most=12.6).verdict == "near"
    assert Row("lung: median HU", -850.0, mean=-770.0, least=-770.0, most=-770.0).verdict == "alike"
    assert Row("heart: gradient, 50th percentile HU per mm", 3.3, mean=6.0, least=6.0, most=6.0).verdict == "differs"


def comparison(real: Volume, simulated: tuple[Figures, ...]) -> Comparison:
    return Comparison(
        scan=RealScan(name="a <scan>", volume=real, sex="F", age_years=46.0, credit="drawn"),
        protocol=PROTOCOL,
        descriptions=tuple(draw_study(seed, PROTOCOL, with_deposits=False) for seed in range(len(simulated))),
        real=measure_scan(real),
        simulated=simulated,
        picture=real,
    )


@pytest.fixture(scope="module")
def drawn(thorax: Volume) -> Comparison:
    """Return a comparison of the thorax with the same thorax and twice the noise."""
    louder = draw_thorax(noise_sd_hu=20.0, plaques=()).volume
    return comparison(thorax, (measure_scan(louder), measure_scan(louder)))


@pytest.mark.slow
def test_a_comparison_separates_what_differs_from_what_is_alike(drawn: Comparison) -> None:
    rows = {row.name: row for row in drawn.rows()}
    noise = rows["blood pool: noise SD HU"]
    assert noise.verdict == "differs"
    assert noise.mean / noise.real == pytest.approx(2.0, rel=0.1)
    assert rows["blood pool: median HU"].verdict == "alike"
    assert rows["skin: edge width mm"].verdict == "alike"


@pytest.mark.slow
def test_what_a_scan_does_not_show_is_left_out(drawn: Comparison) -> None:
    values = {**drawn.real.values, "liver: median HU": float("nan")}
    blind = replace(drawn, real=Figures(values, drawn.real.curves))
    assert "liver: median HU" not in {row.name for row in blind.rows()}
    assert "liver: median HU" in {row.name for row in drawn.rows()}


@pytest.mark.slow
def test_json_holds_every_figure_and_what_it_was_made_from(drawn: Comparison) -> None:
    stored = json.loads(json.dumps(as_json(drawn)))
    assert {row["figure"] for row in stored["figures"]} == {row.name for row in drawn.rows()}
    assert len(stored["descriptions"]) == len(stored["curves"]["simulated"]) == 2
    assert stored["curves"]["real"]["blood pool: noise power"]["x"]


@pytest.mark.slow
def test_page_is_self_contained_and_escapes(drawn: Comparison) -> None:
    page = page_of([drawn], (), [("5 mm: Agatston", 100.0, 104.0)], ["missing: <b>"])
    assert "a &lt;scan&gt;" in page and "missing: &lt;b&gt;" in page
    assert "+4.0 %" in page
    sources = re.findall(r"src='([^']{0,30})", page)
    assert len(sources) == 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in page
    for row in drawn.rows():
        assert row.name.replace("<", "&lt;") in page


@pytest.mark.slow
def test_a_long_scan_is_cut_around_the_heart(thorax: Volume) -> None:
    more = 60
    shape = (len(thorax.hu) + more, *thorax.hu.shape[1:])
    longer = Volume(
        np.concatenate([thorax.hu, np.repeat(thorax.hu[-1:], more, axis=0)]),
        Geometry(shape, thorax.geometry.affine),
    )
    cut = around_heart(longer)
    heart = find_heart(longer).bounding_box[0]
    slice_mm = thorax.geometry.slice_spacing_mm
    assert len(cut.hu) == heart.stop + round(BEYOND_HEART_MM / slice_mm) - max(
        0, heart.start - round(BEYOND_HEART_MM / slice_mm)
    )
    assert len(cut.hu) < len(longer.hu)


def test_heavier_patients_are_larger() -> None:
    small, large = (bmi_of_area(1, "F", 50.0, area_cm2) for area_cm2 in (500.0, 800.0))
    assert BMI_SPAN[0] <= small < large <= BMI_SPAN[1]


@pytest.mark.slow
def test_a_matched_patient_shares_sex_age_and_range(thorax: Volume) -> None:
    real = RealScan(name="real", volume=thorax, sex="F", age_years=46.0)
    description = matched(real, PROTOCOL, 3, area_cm2=600.0)
    assert (description.patient.sex, description.patient.age_years) == ("F", 46.0)
    assert description.patient.arms_up
    assert not description.calcium.deposits
    length_mm = len(thorax.hu) * thorax.geometry.slice_spacing_mm
    assert description.top_mm - description.bottom_mm == pytest.approx(length_mm, abs=0.1)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no DICOM image series"):
        read_real(tmp_path / "nowhere")


def test_a_scan_of_the_user_needs_a_protocol(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--centre"):
        write_realism(tmp_path, path=tmp_path)


def test_missing_reference_scans_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTACAL_REFERENCE_DATA", str(tmp_path / "nowhere"))
    steps: list[str] = []
    with pytest.raises(UsageError, match="CTACAL_REFERENCE_DATA"):
        write_realism(tmp_path / "out", on_step=steps.append)
    assert [line for line in steps if "acrin_flt_breast_001_ctac" in line]
    assert [line for line in steps if "qrm_phantom_canon" in line]


@pytest.mark.slow
def test_fewer_views_streak() -> None:
    few, many = scan_water(replace(PROTOCOL, fov_mm=400.0), (60, 400))
    assert few.outside_sd_hu > 1.5 * many.outside_sd_hu
    assert many.middle_hu == pytest.approx(0, abs=3)
    assert many.mean_frequency_per_mm == pytest.approx(few.mean_frequency_per_mm, rel=0.3)


@pytest.mark.slow
def test_noise_of_water_falls_with_dose() -> None:
    smooth = replace(PROTOCOL, fov_mm=400.0, mtf50_per_mm=0.15, electronic_noise_kev=0.0)
    low, high = (scan_water(replace(smooth, tube_current_ma=ma), (400,))[0] for ma in (25.0, 100.0))
    assert low.noise_sd_hu / high.noise_sd_hu == pytest.approx(2.0, rel=0.05)


@pytest.mark.reference
def test_figures_of_the_real_phantom_are_the_published_ones(reference_data: Path) -> None:
    from ctacal.dicom.series import read_studies

    published = json.loads((places.DATA / "qrm_phantom_expected.json").read_text())
    volume = read_volume(read_studies([reference_data / "qrm_phantom_canon"]).studies[0].series[0])[0]
    figures = phantom_figures(volume)
    for insert in published["inserts"][:5]:
        assert figures[f"{insert['name']}: Agatston"] == pytest.approx(insert["agatston"], rel=0.02)
    quality = published["image_quality"]
    assert figures["resin: noise SD HU"] == pytest.approx(quality["background_sd_hu"], rel=0.1)
    assert figures["calibration rod: MTF50 per mm"] == pytest.approx(quality["mtf50_per_mm"], rel=0.05)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.reference
def test_whole_path_on_a_scan_of_the_user(reference_data: Path, tmp_path: Path) -> None:
    protocol = tmp_path / "mine.toml"
    preset = Path(load_protocol.__code__.co_filename).parent / "protocols" / "pet_ct_140kvp.toml"
    protocol.write_text(preset.read_text().replace("matrix = 512", "matrix = 256"))
    found = write_realism(
        tmp_path / "out", path=reference_data / "acrin_flt_breast_001_ctac", protocol=str(protocol), seeds=(1,)
    )
    stored = json.loads((tmp_path / "out" / "realism.json").read_text())
    assert stored["comparisons"][0]["centre"] == "mine"
    assert (tmp_path / "out" / "realism.html").read_text().startswith("<!doctype html>")
    assert found[0].descriptions[0].patient.sex == "F"
