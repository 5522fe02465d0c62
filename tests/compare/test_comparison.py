"""The verdict in three words, and every reason that stands in its way."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ctacal.compare.comparable import ACCEPTABLE
from ctacal.compare.comparison import Comparison, Terms, Verdict, compare_scans
from ctacal.compare.limits import Limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.compare.reasons import Doubt
from ctacal.compare.scan import ComparedScan
from ctacal.dicom.scans.patient import Identity
from ctacal.errors import Code, Reason, UsageError
from tests.compare.scans import LIMITS, PATIENT, PROTOCOL, scan

LATER = date(2022, 3, 1)
OURS = Terms(limits=LIMITS)


def compared(after: float, *, before: float = 100.0, terms: Terms = OURS, **changes: Any) -> Comparison:
    return compare_scans(scan(before), scan(after, LATER, **changes), terms)


def codes(comparison: Comparison, *, blocks: bool = True) -> set[Doubt]:
    return {reason.code for reason in comparison.reasons if reason.blocks == blocks}


def test_a_change_within_and_beyond_the_sites_limits() -> None:
    assert compared(168.0).verdict is Verdict.WITHIN  # roots 10 and 12.96
    assert compared(170.0).verdict is Verdict.BEYOND
    assert compared(170.0, before=400.0).verdict is Verdict.BEYOND  # downwards
    assert not compared(168.0).reasons


def test_what_an_unchanged_patient_would_show() -> None:
    change = compared(168.0).changes["agatston"]
    assert change.limits == (-3.0, 3.0)
    assert change.after_if_unchanged == pytest.approx((49.0, 169.0))
    assert change.is_beyond is False
    assert compared(168.0).changes["volume_mm3"].is_beyond is None


def test_measures_by_vessel_and_the_change_of_category() -> None:
    comparison = compared(168.0)
    assert comparison.days == 730
    assert comparison.categories_up == 1
    lad, rca = (comparison.changes["agatston"].per_vessel[vessel] for vessel in ("LAD", "RCA"))
    assert (lad.absolute, rca.absolute) == (68.0, 0.0)
    assert lad.percent == 68.0
    assert rca.percent is None


def test_without_limits_nothing_is_claimed_however_large_the_change() -> None:
    comparison = compared(3000.0, terms=Terms())
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert codes(comparison) == {Doubt.NO_LIMITS}
    assert comparison.limits is None
    assert any(rule.exceeded for rule in comparison.published)


def test_simulated_limits_are_chosen_by_the_scan_and_named() -> None:
    simulated = replace(LIMITS, origin="simulated", name="spect_ct")
    comparison = compared(170.0, terms=Terms(simulated=(simulated,)))
    assert comparison.verdict is Verdict.BEYOND
    assert codes(comparison, blocks=False) == {Doubt.LIMITS_SIMULATED}
    assert "spect_ct" in comparison.reasons[0].message
    other = replace(simulated, protocol=replace(PROTOCOL, kvp=80.0))
    assert codes(compared(170.0, terms=Terms(simulated=(other,)))) == {Doubt.NO_LIMITS}


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"protocol": replace(PROTOCOL, kvp=110.0)}, Doubt.KVP_DIFFERS),
        ({"protocol": replace(PROTOCOL, slice_spacing_mm=3.75)}, Doubt.SPACING_DIFFERS),
        ({"protocol": replace(PROTOCOL, slice_thickness_mm=3.0)}, Doubt.THICKNESS_DIFFERS),
        ({"protocol": replace(PROTOCOL, kernel="B70s")}, Doubt.KERNEL_DIFFERS),
        ({"protocol": replace(PROTOCOL, model="Intevo")}, Doubt.SCANNER_DIFFERS),
        ({"protocol": replace(PROTOCOL, manufacturer="GE", model="")}, Doubt.SCANNER_DIFFERS),
        ({"warnings": (Reason(Code.HEART_CUT_OFF, "cut"),)}, Doubt.COVERAGE_CUT_OFF),
        ({"warnings": (Reason(Code.CONTRAST_SEEN, "bright"),)}, Doubt.CONTRAST),
        ({"warnings": (Reason(Code.METAL_SEEN, "a lead"),)}, Doubt.METAL),
        ({"warnings": (Reason(Code.GATED_CALCIUM_SCAN, "gated"),)}, Doubt.GATING_DIFFERS),
        ({"patient": replace(PATIENT, birth_date="19510102")}, Doubt.OTHER_PATIENT),
        ({"patient": replace(PATIENT, sex="M")}, Doubt.OTHER_PATIENT),
        ({"patient": replace(PATIENT, patient_id="4712")}, Doubt.OTHER_PATIENT),
    ],
)
def test_scans_that_differ_are_not_comparable_unless_asked_for(changes: dict[str, Any], doubt: Doubt) -> None:
    comparison = compared(170.0, **changes)
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert doubt in codes(comparison)
    accepted = compared(170.0, terms=Terms(limits=LIMITS, accept={doubt}), **changes)
    assert accepted.verdict is Verdict.BEYOND
    assert doubt in codes(accepted, blocks=False)
    assert "on request" in accepted.reasons[0].message


def refused_scan() -> ComparedScan:
    return scan(0.0, LATER, amounts={}, category="", refused=Reason(Code.HEART_NOT_FOUND, "no heart"))


def test_a_refused_scan_is_not_comparable_and_its_reason_follows() -> None:
    comparison = compare_scans(scan(100.0), refused_scan(), Terms(limits=LIMITS, accept=ACCEPTABLE))
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert comparison.changes == {}
    assert comparison.categories_up is None
    assert "the later scan was not scored: HEART_NOT_FOUND: no heart" in [one.message for one in comparison.reasons]


@pytest.mark.parametrize(
    "changes",
    [
        {"series_uid": scan(100.0).series_uid},
        {"pixels": "digest"},
        {"acquired": frozenset({("1.9", "20200301101500")})},
    ],
)
def test_one_scan_given_twice_is_told(changes: dict[str, Any]) -> None:
    first = scan(100.0, pixels="digest", acquired=frozenset({("1.9", "20200301101500")}))
    comparison = compare_scans(first, scan(100.0, LATER, **changes), OURS)
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert codes(comparison) == {Doubt.SAME_SCAN}


def test_the_earlier_scan_comes_first_whatever_the_order_given() -> None:
    comparison = compare_scans(scan(400.0, LATER), scan(100.0), OURS)
    assert comparison.changes["agatston"].total.absolute == 300.0
    assert codes(comparison, blocks=False) == {Doubt.DATES_SWAPPED}


def test_scans_of_one_day_are_ordered_by_time_and_have_no_annual_change() -> None:
    comparison = compare_scans(scan(110.0, time="140000"), scan(100.0, time="101500"), OURS)
    assert comparison.changes["agatston"].total.absolute == 10.0
    assert comparison.changes["agatston"].total.per_year is None
    assert codes(comparison, blocks=False) == {Doubt.DATES_SWAPPED, Doubt.SHORT_INTERVAL}
    assert comparison.verdict is Verdict.WITHIN


def test_scans_of_one_day_without_a_time_keep_their_order_and_say_so() -> None:
    comparison = compare_scans(scan(110.0), scan(100.0), OURS)
    assert comparison.changes["agatston"].total.absolute == -10.0
    assert "which came first is not recorded" in comparison.reasons[0].message


def test_without_dates_the_order_stays() -> None:
    comparison = compare_scans(scan(400.0, None), scan(100.0), OURS)
    assert comparison.changes["agatston"].total.absolute == -300.0
    assert comparison.days is None
    assert codes(comparison, blocks=False) == {Doubt.NO_DATE}


def test_a_name_alone_may_change_and_no_identity_is_said() -> None:
    renamed = compared(110.0, patient=replace(PATIENT, name="Smith^Jane"))
    assert renamed.verdict is Verdict.WITHIN
    assert codes(renamed, blocks=False) == {Doubt.PATIENT_UNSURE}
    nobody = Identity("", "", "", "", "")
    assert codes(compared(110.0, patient=nobody), blocks=False) == {Doubt.PATIENT_UNSURE}


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"model_digest": "n", "model": "net 2"}, Doubt.MODEL_DIFFERS),
        ({"rule": "agatston1990"}, Doubt.RULE_DIFFERS),
    ],
)
def test_scores_of_two_models_or_rules_are_not_compared(change: dict[str, Any], doubt: Doubt) -> None:
    assert doubt in codes(compared(110.0, **change))


@pytest.mark.parametrize(
    ("limits", "doubt"),
    [
        (replace(LIMITS, protocol=replace(PROTOCOL, kvp=80.0)), Doubt.LIMITS_DO_NOT_FIT),
        (replace(LIMITS, model_digest="another"), Doubt.LIMITS_DO_NOT_FIT),
        (replace(LIMITS, bands={"mass_mg": LIMITS.bands["agatston"]}, decides="mass_mg"), Doubt.QUANTITY_UNKNOWN),
    ],
)
def test_limits_that_do_not_hold_give_no_verdict(limits: Limits, doubt: Doubt) -> None:
    comparison = compared(3000.0, terms=Terms(limits=limits))
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert codes(comparison) == {doubt}


def test_limits_of_an_unknown_scanner_are_told() -> None:
    comparison = compared(170.0, terms=Terms(limits=replace(LIMITS, protocol=ScanProtocol())))
    assert comparison.verdict is Verdict.BEYOND
    assert codes(comparison, blocks=False) == {Doubt.LIMITS_UNCHECKED}


def test_beyond_the_highest_pair_nothing_is_claimed() -> None:
    comparison = compared(4000.0, before=2000.0)  # the mean of the roots is 54, the highest pair's is 40
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    assert codes(comparison) == {Doubt.BEYOND_THE_PAIRS}


def test_what_cannot_be_accepted_is_a_wrong_request() -> None:
    with pytest.raises(UsageError, match="--accept NO_LIMITS: no verdict is possible"):
        Terms(accept={Doubt.NO_LIMITS})
