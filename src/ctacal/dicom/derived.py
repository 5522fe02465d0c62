"""Images that are stored as CT, whose values are not those of a CT at its tube voltage: calcium differs in them.

The evidence is Image Type and Frame Type (PS3.3 C.8.2.1.1.1, C.8.15.2.1.1, C.8.16.1), Rescale Type (C.11.1.1.2),
Derivation Description, Volumetric Properties and Volume Based Calculation Technique (C.8.16.2.1.2 and 3), and words
that vendors write.
"""

import re
from collections.abc import Iterable

from ctacal.dicom.header import SeriesHeader
from ctacal.dicom.headers.words import any_of, plain, plain_texts
from ctacal.errors import Code, Reason

_UNITS = {
    "HU_MOD": "modified Hounsfield units", "MGML": "mg/ml of a material", "MG/ML": "mg/ml of a material",
    "MG/CC": "mg/cc of a material", "Z_EFF": "effective atomic numbers", "ED": "electron densities",
    "EDW": "electron densities relative to water", "PCT": "shares in percent", "OD": "optical densities",
    "ML/100ML": "perfusion", "ML/MIN/100ML": "perfusion", "ML/MIN/100G": "perfusion",
}  # fmt: skip
"""Rescale Types that are no Hounsfield units; those that nobody defined are read as Hounsfield units and checked."""

_MONO = "an image at one photon energy"
_WORDS = {
    "a virtual image without contrast medium": """vnc vne virtual_non_con* virtual_noncon* virtual_non_enh*
        virtual_nonenh* virtual_unenhanced virtually_unenhanced mat_removed water_iodine water_no_iodine
        iodine_removed iodine_subtracted""",
    "an image with modified values": """mat_modified calcium_supp* calcium_subtracted calcium_removed
        calcium_subtraction casup* ca_sup ca_supp vnca vn_ca virtual_non_calcium virtual_noncalcium""",
    "a map of a material": """mat_specific mat_fractional mat_value_based material_density material_decomposition
        material_specific material_map iodine_map iodinemap iodine_density iodine_water iodine_no_water iodine_overlay
        iodine_concentration hap_map hap_water uric_acid fat_map fat_fraction""",
    "a map of atomic numbers or electron densities": """eff_atomic* effective_atomic* z_eff* zeff* electron_dens* rho_z
        rhoz""",
    _MONO: "vmi mono_e monoe mono_energ* monoenerg* mono_chromat* monochromat* mono_plus virtual_mono*",
    "a projection or a picture of a volume": """mip max_ip max_intens* maximum_intens* minip min_ip min_intens*
        minimum_intens* ray_sum raysum volume_render* surface_render* vrt ssd curved_mpr curved_planar cpr screen_save*
        screensave* dose_info""",
    "a difference, quotient or map of several images": """subtraction subtracted std_deviation standard_deviation
        perfusion_map perf_map perfusion_bv perfusion_bf perf_bv perf_bf cbf cbv rcbf rcbv mtt ttp tmax t_max pbv
        ventilation_map""",
}
_WHOLE_VALUES = {
    "a map of a material": "iodine",
    "a projection or a picture of a volume": "maximum minimum sampled distorted curved report",
    "a difference, quotient or map of several images": "division multiplication masked t_test z_score",
}
"""Words that mean this only where they are all that an attribute says."""
_ENERGIES = {_MONO: r"|\bmono \d+|\b\d+ ?ke ?v\b"}
_PATTERNS = {
    kind: re.compile(rf"\b{any_of(words)}\b|@{any_of(_WHOLE_VALUES.get(kind, '$'))}@{_ENERGIES.get(kind, '')}")
    for kind, words in _WORDS.items()
}
_BLENDS = re.compile(
    rf"\b{any_of('averag* mean avg mittelung mittelwert mixed de_mix* demix blend* aip ave_ip')}\b"
    r"(?! (?:patient|pt|weight|size|adult|build|dose)\b)"
)
_BLENDED_TYPE = re.compile(r"@addition@|\benergy (prop|weighted)\w*|@mix@|\b[fm] 0 \d+@")
_READ_AS_HU = re.compile(r"^$|hu|^h u$|^uh\b|hounsf|^us$|unsp|unknown|none|null|^ct|^n a$")
_ENERGY_KEV = re.compile(r"\b(?:mono ?e?(?:nergetic)?(?: plus)? ?(\d+)|(\d+) ?ke ?v)\b")
LIKE_120_KVP_KEV = (65, 75)
"""Photon energies at which an image reads nearly as at 120 kVp (the mean energy behind a chest is about 70 keV: SpekPy,
``benchmarks/kvp_factors.py``); such images are scored with a warning."""


def why_no_ct(headers: Iterable[SeriesHeader]) -> Reason | None:
    """Return why the images of a series are no CT at its tube voltage, by what machines write; None if they are."""
    for header in headers:
        if unit := _UNITS.get(header.rescale_type.upper().strip()):
            return _refused(f"Rescale Type {header.rescale_type} says that the values are {unit}")
        for name, values in _written_by_machines(header).items():
            kind = _kind(values)
            if kind and not (kind == _MONO and _reads_as_120_kvp(header)):
                return _refused(f"{name} {'/'.join(values)} says that this is {kind}")
    return None


def doubt_about(header: SeriesHeader) -> Reason | None:
    """Return a warning that values may differ from those of a CT at one tube voltage; None if nothing says so."""
    machine = [value for values in _written_by_machines(header).values() for value in values]
    if kind := _kind((*machine, header.series_description)):
        message = f"the headers call this {kind}: calcium may have other values than on a CT at a tube voltage"
    elif _BLENDS.search(plain_texts(*machine, header.series_description)) or _BLENDED_TYPE.search(_ended(machine)):
        message = "the headers call this an average or a blend of images: small or moving calcium may read lower"
    elif header.is_multi_energy:
        message = "the images were acquired at several energies: calcium may have other values than at one tube voltage"
    elif not _READ_AS_HU.search(plain(header.rescale_type)):
        message = (
            f"Rescale Type {header.rescale_type!r} is not a unit of DICOM; the values were read as Hounsfield units"
        )
    else:
        return None
    return Reason(Code.COMPUTED_IMAGE, message)


def _refused(message: str) -> Reason:
    return Reason(Code.DERIVED_IMAGE, f"{message}, not a CT at a tube voltage; score the CT that it was made from")


def _written_by_machines(header: SeriesHeader) -> dict[str, tuple[str, ...]]:
    """Return what the scanner or workstation writes of an image, by the names of the attributes."""
    return {
        "Image Type": tuple(value for value in header.image_type if value),
        "Volumetric Properties and Volume Based Calculation Technique": header.volume_values,
        "Derivation Description": (header.derivation,),
    }


def _kind(values: Iterable[str]) -> str | None:
    words = _ended(values)
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(words)), None)


def _ended(values: Iterable[str]) -> str:
    """Return the plain words of values, each between two ``@``."""
    return "".join(f"@{words}@" for value in values for words in plain(value).split(" | "))


def _reads_as_120_kvp(header: SeriesHeader) -> bool:
    """Whether the photon energy of the images is named, and close to that of 120 kVp."""
    words = plain_texts(*header.image_type, header.derivation, header.series_description, header.kernel)
    energies = {float(energy) for found in _ENERGY_KEV.findall(words) for energy in found if energy}
    low, high = LIKE_120_KVP_KEV
    return bool(energies) and low <= min(energies) and max(energies) <= high
