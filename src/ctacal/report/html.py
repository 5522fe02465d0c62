"""The report of one study as a page that needs nothing beside it: styles and pictures are inside."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files

from ctacal import __version__
from ctacal.categories import CATEGORIES
from ctacal.report import wording
from ctacal.report.pictures import Picture, Pictures
from ctacal.report.subject import Subject
from ctacal.report.vessels import VESSEL_COLOURS
from ctacal.result import ScoredStudy, StudyResult


def report_html(result: StudyResult, subject: Subject, pictures: Pictures | None) -> str:
    """The page; of a refused study, the reasons."""
    body = _scored(result, subject, pictures) if isinstance(result, ScoredStudy) and pictures else _refused(result)
    style = files("ctacal.report").joinpath("report.css").read_text(encoding="utf-8")
    title = f"{wording.TITLE} {subject.study_date}".strip()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{_head(result, subject)}{body}"
        f"<footer>ctacal {__version__} · study {escape(result.study_uid)} · {wording.RESEARCH_ONLY}</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def _head(result: StudyResult, subject: Subject) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in wording.facts(result, subject)
    )
    return (
        f"<header><h1>{wording.TITLE} <small>{wording.SUBTITLE}</small></h1>"
        f'<p class="notice">{wording.RESEARCH_ONLY}</p></header>\n<dl class="facts">{facts}</dl>\n'
    )


def _scored(result: ScoredStudy, subject: Subject, pictures: Pictures) -> str:
    return "".join(
        [
            f'<section class="top"><div>{_score(result)}</div><div>{_vessels(result)}</div></section>\n',
            '<section class="top">',
            f"<div><h2>For age and sex</h2>{_paragraphs(wording.percentile_lines(result, subject))}</div>",
            f"<div><h2>How sure</h2>{_uncertainty(result)}</div></section>\n",
            f"<section><h2>Before relying on the number</h2>{_flags(result)}</section>\n",
            f'<section><h2>{wording.pictures_title(result)}</h2><div class="pictures">'
            f"{''.join(map(_figure, (*pictures.key_slices, *pictures.locators)))}</div></section>\n",
            f'<section class="page"><h2>{wording.montage_title(result)}</h2>{_figure(pictures.montage)}</section>\n',
            f'<section class="top"><div><h2>The scan</h2>{_pairs(wording.acquisition(result))}</div>'
            f"<div><h2>The method</h2>{_pairs(wording.method(result))}</div></section>\n",
            f"<section><h2>What the number is</h2><p>{wording.WHAT_IT_IS}</p>"
            f"<h2>Intended use</h2><p>{wording.INTENDED_USE}</p></section>\n",
        ]
    )


def _refused(result: StudyResult) -> str:
    return f"<section><h2>Not scored</h2>{_flags(result)}<p>{wording.INTENDED_USE}</p></section>\n"


def _score(result: ScoredStudy) -> str:
    scores = result.scores
    steps = "".join(
        f'<li class="c{n}{" here" if category == scores.category else ""}">{escape(category)}'
        f"<span>{wording.FIVE_WORDS[category]}</span></li>"
        for n, category in enumerate(CATEGORIES)
    )
    return (
        f'<p class="score">{wording.number(scores.agatston.total)} <span>Agatston score<br>'
        f'CAC-DRS {scores.cac_drs}</span></p><ol class="scale">{steps}</ol>'
        '<p class="small">Non-gated, low-dose CTAC: not equal to a gated calcium score.</p>'
    )


def _vessels(result: ScoredStudy) -> str:
    rows = "".join(
        f'<tr class="{"total" if line.label is None else ""}"><th scope="row">{_dot(line)}{escape(line.name)}</th>'
        f"<td>{line.agatston}</td><td>{line.volume}</td><td>{line.mass}</td><td>{line.lesions}</td></tr>"
        for line in wording.vessel_lines(result)
    )
    return (
        '<table class="vessels"><thead><tr><th scope="col">Vessel</th><th scope="col">Agatston</th>'
        '<th scope="col">Volume, mm³</th><th scope="col">Mass, mg</th><th scope="col">Lesions</th></tr></thead>'
        f'<tbody>{rows}</tbody></table><p class="small">{wording.mass_note(result)}</p>'
    )


def _dot(line: wording.VesselLine) -> str:
    if line.label is None:
        return ""
    return f'<i style="background:rgb{VESSEL_COLOURS[line.label]}"></i>'


def _uncertainty(result: ScoredStudy) -> str:
    shares = wording.probabilities(result)
    bars = "".join(
        f'<div><span>{escape(category)}</span><b class="c{n}" style="width:{share * 60:.1f}%"></b>'
        f"<em>{wording.percent(share)}</em></div>"
        for n, (category, share) in enumerate(shares)
    )
    lines = wording.uncertainty_lines(result)
    title = escape(wording.probabilities_title(result))
    said = f'<p>{title}</p><div class="bars">{bars}</div>' if shares else ""
    return said + _paragraphs(lines)


def _flags(result: StudyResult) -> str:
    if not result.reasons:
        return "<p>Nothing about the scan is unusual.</p>"
    items = (f"<li><b>{escape(title)}.</b> {escape(told)}</li>" for title, told in map(wording.flag, result.reasons))
    return f'<ul class="flags">{"".join(items)}</ul>'


def _paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _pairs(pairs: wording.Pairs) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in pairs)
    return f'<table class="pairs"><tbody>{rows}</tbody></table>'


def _figure(picture: Picture) -> str:
    data = b64encode(picture.jpeg).decode()
    return (
        f'<figure><img alt="{escape(picture.caption)}" src="data:image/jpeg;base64,{data}" '
        f'width="{picture.image.width}" height="{picture.image.height}"><figcaption>{escape(picture.caption)}'
        "</figcaption></figure>"
    )
