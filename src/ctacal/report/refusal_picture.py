"""Why a study was refused, as a picture, for a PACS that shows images only."""

from textwrap import wrap

from PIL import Image, ImageDraw

from ctacal.report import wording
from ctacal.report.montage import BACKGROUND, FAINT, INK, font
from ctacal.result import NOTICE, StudyResult

WIDTH, MARGIN = 1000, 24
_LETTERS = 105
"""Letters in a line of the smaller type."""
_MOST_LINES = 40


def refusal_picture(result: StudyResult) -> Image.Image:
    """Draw the reasons of a study, without the patient's name."""
    lines = [line for reason in result.reasons for line in wrap(str(reason), _LETTERS)][:_MOST_LINES]
    sheet = Image.new("RGB", (WIDTH, 150 + 24 * len(lines)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 20), f"{wording.TITLE}: {wording.REFUSED_TITLE.lower()}", INK, font(28))
    for number, line in enumerate(lines):
        draw.text((MARGIN, 75 + 24 * number), line, INK, font(16))
    draw.text((MARGIN, sheet.height - 40), NOTICE, FAINT, font(13))
    return sheet
