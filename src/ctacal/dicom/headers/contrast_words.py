"""Contrast medium in free texts, in the languages of consoles: given, not given, by mouth, or nothing said."""

import re
from enum import Enum

from ctacal.dicom.headers.words import any_of, plain


class Said(Enum):
    """What a text or an ``Agent`` says of contrast medium in the blood."""

    GIVEN = "given"
    NOT_GIVEN = "not given"
    ENTERAL = "by mouth or rectum, which does not enhance blood"
    OPEN = "unknown"


_NO = any_of("""
    no non not none nil null without wo w_o w_out o ohne kein* nicht sans pas sin sem senza zonder geen niet uden ikke
    ingen utan inte uten ilman bez brak fara nincs aucun* ningun* nenhum* nessun* zaden zadn* pre before
    avant vor без нет не χωρισ
    tanpa tidak khong ללא بدون
""")
_NONE_OF_ITSELF = any_of("""
    n na n_a nd n_d nein nao nei nej nie ne ei hayir hayır yok yoktur false off nul zero empty declined
    refused cancelled
    canceled disabled s_c s_km nc
""")
_NONE_IN_CHINESE_JAPANESE_KOREAN = "없음|没有|무$|無|无|なし|ナシ|不用|未注射|未使用"
_NONE = re.compile(rf"\b(?:{_NO}|{_NONE_OF_ITSELF})\b|^ø$|{_NONE_IN_CHINESE_JAPANESE_KOREAN}")
_WITH = "(?:with|w|mit|avec|con|com|med|met)"
_AND = "(?:and|und|et|y|e|og|och|en|or)"
_BOTH = re.compile(rf"\b{_WITH}(?: {_AND})? (?:without|wo|w o|w out|ohne|sans|sin|sem|senza|uden|utan|zonder)\b")
_NOT_DENIED = f"(?:{_AND}|{_WITH}|only|nur|comma)"
_OF_A_LIST = any_of("any oral rectal iv i_v or nor and oder und ou y")
_DENIED_AFTER = rf"(?:{_NO}|nein|nao|nej|nei|yok)\b(?: given| used)?(?= comma|$)"
_UNENHANCED = re.compile(
    r"\b"
    + any_of("""
    unenhanced uncontrasted un_enhanced non_enhanced nonenhanced non_contrast* noncontrast* no_contrast* nocontrast*
    noncon pre_contrast* precontrast* ncct nect nativ* natif plain unkontrast* sans_injection non_injecte*
    sem_injecao blank natiivi нативн* contrast_free contrastfree kontrastfrei* kontrastmittelfrei*
    kontrastsiz* kontrastsız*
    бесконтраст*
    """)
    + r"\b|(?<!\d )\bs (?:km|contrast\w*|kontrast\w*)\b"
    + r"|平[扫掃]|[非未]造影|[非未]增[强強]"
    + r"|[単單]純|单纯|비조영|조영 ?전|造影[剂剤]? ?[无無なナ]|[无無]造影|조영제? ?없음"
)
_WITHOUT_C = re.compile(r"\b(?:wo|w o|without) c\b|\bs c\b")
_BRAND_NAMES = any_of("""
    omnipa* iohexol iomeron imeron iomeprol iopami* isovue niopam solutrast ultravist iopromid* visipa* iodixanol
    optiray ioversol xenetix iobitridol oxilan ioxilan hexabrix ioxagl* accupaque conray hypaque iothalam* iopasen
    imagopaque scanlux unilux urografin* renografin nonioni* gadovist magnevist dotarem gadolin*
""")
_BRANDS = re.compile(rf"\b{_BRAND_NAMES}\b")
_TRACERS = any_of("""
    fdg f_18 rb_82 rubidium n_13 nh_3 ammonia ammoniak tc_99_m? tc_99 technetium mibi sestamibi tetrofosmin myoview
    cardiolite tl_201 thallium flurpiridaz regadenoson lexiscan rapiscan adenosin* dipyridamol* dobutamin* tracer
    saline nacl flush
""")
"""What a study of the heart injects, but no contrast medium: tracers, drugs for stress, the flush."""
_TRACERS_ALONE = re.compile(rf"(?:\d+ )*{_TRACERS}(?: (?:{_TRACERS}|\d+))*")
_INTO_BLOOD = re.compile(
    r"\b" + any_of("iv i_v ia intraven* intra_ven* intraart* intra_art* parenteral vein") + r"\b|静脉|静脈|정맥"
)
_ENTERAL = re.compile(
    r"\b"
    + any_of("""
    oral* per_os po p_o peroral* rectal* rektal* enema enteral* barium* baryt* bario gastrograf* gastroview gastrolux
    telebrix_gastro readi_cat readicat e_z_cat ez_cat volumen mannit* water wasser eau agua acqua milk
    """)
    + r"\b|口服|経口|경구"
)
_CONTRAST = any_of("""
    contrast* postcontrast* kontrast* enhance enhanced enhancement cect ce c_e cta ccta ctpa angio* km mdc civ pdc
    injecte injectee injectes injectees avec_injection produit_de_c* контраст*
""")
_GIVEN = re.compile(
    rf"\b(?:{_CONTRAST}|{_BRAND_NAMES}|(?:with|w|mit|post|after) (?:cm|iv|dye)(?! {_TRACERS}))\b|造影|增[强強]|조영"
)
_PHASE = re.compile(
    r"\b"
    + any_of("""
    arterial* arteriell* portal* portoven* venous venos* veineu* nephrogra* pyelogra* excretory parenchymal
    bolus_tracking test_bolus timing_bolus art_phase ven_phase pv_phase art_ph ven_ph pv_ph
    """)
    + r"\b|动脉期|静脉期|動脈相|静脈相"
)
_OPEN = re.compile(
    any_of("""
    unknown unbekannt inconnu* desconocid* desconhecid* sconosciut* onbekend okand ukendt ukjent bilinmiyor unspecified
    undefined uncertain not_known not_specified not_stated not_recorded not_documented not_entered not_available
    other tbd test 不明 未知 o
    """)
    + "|x+"
)
_UNITS = re.compile(r"\b(?:ml|cc|g|gr|mg|mgi|s|sec|l)\b")
_NAMES_OR_DOSES = re.compile(r"[^\W\d_]|[1-9]")
_DOSE_OF_ZERO = re.compile(r"\b0+(?: 0+)? (?:ml|cc)\b")
_SIGNED = "(?:C|IV|KM|CM|CE|contrast|kontrast)"
_DASH = "[-\u2212\u2013]"
_PLUS = re.compile(rf"(?<![A-Za-z0-9]){_SIGNED}\s?\+|\+\s?{_SIGNED}(?![A-Za-z])", re.IGNORECASE)
_MINUS_AFTER = re.compile(rf"(?<![A-Za-z0-9])(?:{_SIGNED}|^I)\s?{_DASH}(?=$|[\s,;/)\]_])", re.IGNORECASE)
_MINUS_BEFORE = re.compile(rf"(?:^|(?<=[\s_(/])){_DASH}\s?{_SIGNED}(?![A-Za-z])", re.IGNORECASE)
_ENHANCED_FORMAT = re.compile(
    r"\benhanced (?=conversion|multi|legacy|sop|dicom|mf\b)|\b(?:edge|resolution|sharpness|legacy converted) enhanced\b"
)
"""Files in the form of Enhanced CT, and filters: not contrast medium."""
_NON_IONIC = re.compile(r"\bnon? (?=ioni[ckqsz])")


def said_of_agent(name: str) -> Said:
    """Return what the text of Contrast/Bolus Agent says; a name that says nothing else is that of an agent.

    >>> [said_of_agent(name).name for name in ("Omnipaque 350", "w/o CM", "keine", "0 ml", "oral", "UNKNOWN")]
    ['GIVEN', 'NOT_GIVEN', 'NOT_GIVEN', 'NOT_GIVEN', 'ENTERAL', 'OPEN']
    """
    words = _prepared(name)
    if _OPEN.fullmatch(words) or set(name.split()) == {"?"}:
        return Said.OPEN
    if not _NAMES_OR_DOSES.search(_UNITS.sub(" ", words)) or _DOSE_OF_ZERO.search(words):
        return Said.NOT_GIVEN
    rest = _UNENHANCED.sub(" ", _without_denied(words, _INTO_BLOOD, _ENTERAL))
    if _INTO_BLOOD.search(rest) or (
        _ENTERAL.search(rest) and _BRANDS.search(rest) and re.search(r"[+&/,]| and ", name)
    ):
        return Said.GIVEN
    if _ENTERAL.search(rest):
        return Said.ENTERAL
    if _GIVEN.search(rest):
        return Said.GIVEN
    denied = rest != words or _NONE.search(rest) or _TRACERS_ALONE.fullmatch(rest)
    return Said.NOT_GIVEN if denied else Said.GIVEN


def said_of_series(*texts: str) -> Said:
    """Return what free texts, such as descriptions, say: with contrast medium, without, or nothing (``OPEN``).

    >>> [said_of_series(text).name for text in ("CT Thorax C+", "Thorax w/o contrast", "CTAC", "abdomen mit KM")]
    ['GIVEN', 'NOT_GIVEN', 'OPEN', 'GIVEN']
    """
    said = Said.OPEN
    for words in map(_prepared, texts):
        rest = _UNENHANCED.sub(" ", _without_denied(words))
        if _BOTH.search(words) or _GIVEN.search(rest) or _PHASE.search(rest):
            return Said.GIVEN
        if rest != words or _WITHOUT_C.search(words):
            said = Said.NOT_GIVEN
    return said


def is_into_blood(route: str) -> bool:
    """Whether a route of administration leads into the blood."""
    return bool(_INTO_BLOOD.search(plain(route)))


def is_enteral(route: str) -> bool:
    """Whether a route of administration leads into stomach or bowel alone."""
    return bool(_ENTERAL.search(plain(route))) and not is_into_blood(route)


def _without_denied(words: str, *also: re.Pattern[str]) -> str:
    """Return the words without each mention of contrast medium that is denied: no IV contrast, contrast: none."""
    for mention in (_GIVEN, *also):
        before = rf"\b{_NO}(?:(?: (?!{_NOT_DENIED}\b)\w+){{0,2}}|(?: {_OF_A_LIST})+) (?:{mention.pattern})"
        after = rf"(?:{mention.pattern})(?: (?!{_NOT_DENIED}\b)\w+)? {_DENIED_AFTER}"
        words = re.sub(f"{before}|{after}", " ", words)
    return words


def _prepared(text: str) -> str:
    """Return the plain words, with the signs that say with or without contrast medium as words."""
    signed = _PLUS.sub(r" \g<0> enhanced ", text)
    for minus in (_MINUS_AFTER, _MINUS_BEFORE):
        signed = minus.sub(" unenhanced ", signed)
    words = _ENHANCED_FORMAT.sub("", plain(re.sub("[,;]", " comma ", signed)))
    return _NON_IONIC.sub("nonionic", words)
