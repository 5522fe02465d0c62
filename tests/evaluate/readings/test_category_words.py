"""Words for categories where scores are expected: the message holds the declaration to write."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ctacal.categories import FIVE_CATEGORY_EDGES, category_indices
from ctacal.errors import UsageError
from ctacal.evaluate.agree import AgreeConfig, read_raters
from ctacal.evaluate.linkage import Rules
from ctacal.evaluate.outcomes.read import read_patients
from ctacal.evaluate.readings.category_words import likely_order, words_offer
from ctacal.jobs.cohort import join_cohort
from tests.evaluate.outcomes.tables import PLAIN, config, table

N = 120
WORDS = {
    "English": (["none", "mild", "moderate", "severe"], "--words none,mild,moderate,severe,"),
    "German": (["kein", "gering", "mäßig", "schwer"], "--words 'kein,gering,mäßig,schwer',"),
    "five": (["none", "minimal", "mild", "moderate", "severe"], "--words none,minimal,mild,moderate,severe,"),
    "Roman": (["0", "I", "II", "III"], "--words 0,I,II,III,"),
    "Roman from I": (["I", "II", "III", "IV"], "--words I,II,III,IV,"),
    "codes": (
        ["CAC-DRS 0", "CAC-DRS 1", "CAC-DRS 2", "CAC-DRS 3"],
        "--words 'CAC-DRS 0,CAC-DRS 1,CAC-DRS 2,CAC-DRS 3',",
    ),
    "other edges": (["0", "1-99", "100-399", ">=400"], "--words '0,1-99,100-399,>=400',"),
    "bounds": (["0", "<100", "100-400", ">400"], "--words '0,<100,100-400,>400',"),
}


def in_words(words: list[str]) -> pd.DataFrame:
    frame = table(N, seed=3)
    edges = {} if len(words) == 4 else {"edges": FIVE_CATEGORY_EDGES}
    own = {name: np.array(words)[category_indices(frame[name], **edges)] for name in ("model", "reader")}
    return frame[["id", "days", "mace"]].assign(**own)


@pytest.mark.parametrize("name", WORDS)
def test_the_message_holds_the_declaration_in_the_likely_order(name: str, tmp_path: Path) -> None:
    words, option = WORDS[name]
    path = tmp_path / "t.csv"
    in_words(words).to_csv(path, index=False)
    toml = f"words = {words}".replace("'", '"')
    said: dict[str, Any] = {"readers": ["reader"], "models": ["model"], "categories": ["reader", "model"]}
    for fields in ({}, said):
        with pytest.raises(UsageError, match="Is this their order, lowest first") as refused:
            read_raters(AgreeConfig(table=path, **fields))
        assert option in str(refused.value)
    for reading in ({"name": "M", "score": "model"}, {"name": "M", "category": "model"}):
        with pytest.raises(UsageError, match="Is this their order, lowest first") as refused:
            read_patients(path, config({**PLAIN, "model": reading}))
        assert toml in str(refused.value)


def test_what_is_offered_is_read(tmp_path: Path) -> None:
    words = WORDS["German"][0]
    path = tmp_path / "t.csv"
    in_words(words).to_csv(path, index=False)
    offered = likely_order(sorted(words))
    read = read_raters(AgreeConfig(table=path, readers=["reader"], models=["model"], categories=["reader", "model"],
                                   words=offered))  # fmt: skip
    assert (category_indices(read.of("model")[0].scores) == category_indices(table(N, seed=3)["model"])).all()
    with pytest.raises(UsageError, match="the words must begin with the lowest category"):
        read_patients(path, config({**PLAIN, "model": {"name": "M", "category": "model", "words": offered[::-1]}}))


def test_an_order_that_is_not_known_is_left_to_the_user(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    in_words(["A", "B", "C", "D"]).to_csv(path, index=False)
    with pytest.raises(UsageError, match="Put them in order, lowest first, and say --words A,B,C,D,"):
        read_raters(AgreeConfig(table=path))
    in_words(["no", "yes", "yes", "yes"]).to_csv(path, index=False)
    with pytest.raises(UsageError, match=r"four categories .* or five .*; here are 2"):
        read_raters(AgreeConfig(table=path))


def test_scores_with_single_words_are_offered_no_categories() -> None:
    assert words_offer({"120 AU": 1, "0 AU": 2, "45 AU": 1}) == ""
    assert words_offer({"0": 9, "1-100": 9, "101-400": 9, ">400": 9}) == ""


def test_cohort_passes_words_through(tmp_path: Path) -> None:
    lines = [f"1.2.3.{row},scored,{row}" for row in range(N)]
    (tmp_path / "results.csv").write_text("\n".join(["study_uid,status,agatston", *lines]) + "\n")
    frame = in_words(WORDS["English"][0]).assign(study_uid=[f"1.2.3.{row}" for row in range(N)])
    frame.to_csv(tmp_path / "clinical.csv", index=False)
    join_cohort([tmp_path / "results.csv"], tmp_path / "clinical.csv", tmp_path / "cohort.csv", Rules())
    with pytest.raises(UsageError, match=r'words = \["none", "mild", "moderate", "severe"\]'):
        read_patients(tmp_path / "cohort.csv", config({**PLAIN, "model": {"name": "R", "score": "reader"}}))
