"""Reporting checklists: items that the data answer are filled in, the others are left open for the authors.

The items have the numbers of the guidelines and shortened texts; the guideline itself is authoritative.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

OPEN = "OPEN"
"""Answer of an item that the authors must answer."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a guideline."""

    number: str
    topic: str
    """The text of the guideline, shortened."""
    answer: str = ""
    """Empty if the authors must answer."""


@dataclass(frozen=True, slots=True)
class Checklist:
    """A guideline's items and the answers so far."""

    name: str
    source: str
    items: tuple[Item, ...]
    remark: str = ""

    @property
    def filled(self) -> int:
        """Number of items answered."""
        return sum(bool(item.answer) for item in self.items)


def fill(checklist: Checklist, answers: Mapping[str, str]) -> Checklist:
    """Return the checklist with answers by item number; the other items stay open.

    Raises ``ValueError`` if a number is not one of its items.

    >>> fill(TRIPOD_AI, {"10": "n = 2,271; no calculation"}).filled
    1
    """
    if unknown := set(answers) - {item.number for item in checklist.items}:
        raise ValueError(f"{checklist.name} has no item {', '.join(sorted(unknown))}")
    items = tuple(replace(item, answer=answers.get(item.number, item.answer)) for item in checklist.items)
    return replace(checklist, items=items)


def _items(text: str) -> tuple[Item, ...]:
    """Parse one item from each line: number, space, topic."""
    return tuple(Item(*line.strip().split(" ", 1)) for line in text.strip().splitlines())


TRIPOD_AI = Checklist(
    "TRIPOD+AI",
    "Collins GS et al., BMJ 2024;385:e078378.",
    _items("""
        1 Title: development or evaluation of a prediction model, target population, outcome
        2 Abstract by TRIPOD+AI for Abstracts
        3a Background: health care context and rationale, existing models
        3b Background: target population, intended purpose and users in the care pathway
        3c Background: known health inequalities between groups
        4 Objectives: development, evaluation or both
        5a Data: sources, reasons for their choice, representativeness
        5b Data: dates of accrual and, for prognosis, end of follow-up
        6a Participants: setting, number and place of centres
        6b Participants: eligibility criteria
        6c Participants: treatments received and how they were handled
        7 Data preparation and quality checks, and whether these were similar across groups
        8a Outcome: definition, time horizon, how and when assessed
        8b Outcome: qualifications of those who assessed it, if it needs interpretation
        8c Outcome: blinding of its assessment
        9a Predictors: choice of the initial predictors
        9b Predictors: definition, how and when measured
        9c Predictors: qualifications of those who assessed them, if they need interpretation
        10 Sample size: how it was arrived at, whether it is sufficient
        11 Missing data: how handled, and why
        12a Analysis: how the data were used and partitioned
        12b Analysis: how predictors were handled (form, scaling, transformation)
        12c Analysis: type of model, building steps, internal validation
        12d Analysis: heterogeneity between clusters (centres, countries)
        12e Analysis: measures and plots of performance
        12f Analysis: model updating
        12g Analysis: how predictions were calculated in evaluation
        13 Class imbalance: whether and how handled
        14 Fairness: approaches to address it, and their rationale
        15 Model output: what it is, thresholds and how they were identified
        16 Training versus evaluation: differences in setting, eligibility, outcome, predictors
        17 Ethics: approval, consent
        18a Funding and role of funders
        18b Conflicts of interest
        18c Protocol: where it can be accessed
        18d Registration
        18e Data sharing
        18f Code sharing
        19 Patient and public involvement
        20a Participants: flow, with and without the outcome, follow-up
        20b Participants: characteristics, missing data, by group
        20c Participants: comparison with the development data
        21 Model development: numbers of participants and events in each analysis
        22 Model specification in full and how to access it
        23a Model performance with confidence intervals, also for key subgroups
        23b Model performance: heterogeneity between clusters
        24 Model updating: results
        25 Interpretation, including fairness, in the context of earlier studies
        26 Limitations: representativeness, sample size, overfitting, missing data
        27a Usability: how poor-quality or missing input should be assessed and handled
        27b Usability: what interaction and expertise the user needs
        27c Usability: next steps, applicability and generalisability
    """),
)

CLAIM_2024 = Checklist(
    "CLAIM 2024",
    "Tejani AS et al., Radiol Artif Intell 2024;6:e240300.",
    _items("""
        1 Title or abstract: AI methodology named (e.g. deep learning)
        2 Abstract: structured summary of design, methods, results, conclusions
        3 Background: scientific and clinical, intended use and role
        4 Aims, objectives, hypotheses
        5 Design: prospective or retrospective
        6 Study goal
        7 Data sources
        8 Inclusion and exclusion criteria
        9 Data preprocessing
        10 Selection of data subsets
        11 De-identification
        12 How missing data were handled
        13 Image acquisition protocol
        14 How the reference standard was obtained
        15 Rationale for the reference standard
        16 Source of reference annotations: annotators and their qualifications
        17 Annotation of the test set
        18 Inter- and intra-rater variability of annotations and its mitigation
        19 How data were assigned to partitions
        20 Level at which partitions are disjoint (patient, institution)
        21 Intended sample size
        22 Model: description, inputs, outputs, all layers
        23 Software libraries, frameworks, packages, versions
        24 Initialisation of parameters
        25 Training: augmentation, hyperparameters, number of models
        26 How the final model was selected
        27 Ensembling
        28 Metrics of model performance
        29 Statistical measures of significance and uncertainty
        30 Robustness or sensitivity analysis
        31 Explainability or interpretability and its validation
        32 Evaluation on internal data
        33 Testing on external data
        34 Registration of a clinical trial
        35 Numbers of patients or examinations included and excluded (flow)
        36 Demographic and clinical characteristics, by partition
        37 Performance metrics, compared with benchmarks
        38 Estimates of diagnostic performance and their precision
        39 Failure analysis of incorrect results
        40 Limitations: bias, uncertainty, generalisability
        41 Implications for practice, intended use and role
        42 Where to find the protocol or further technical details
        43 Availability of software, model and data
        44 Funding, role of funders
    """),
    "Numbers and topics have not been checked against the published table: check them before you submit.",
)

STARD_AI = Checklist(
    "STARD-AI",
    "Bossuyt PM et al., BMJ 2015;351:h5527 (STARD 2015); Sounderajah V et al., Nat Med 2025;31:3283-3289 (STARD-AI).",
    _items("""
        1 Title: a study of diagnostic accuracy, with at least one measure of it; AI named
        2 Abstract: structured summary
        3 Background: intended use and clinical role of the index test
        4 Objectives and hypotheses
        5 Design: data collected before or after index test and reference standard
        6 Eligibility criteria
        7 On what basis potentially eligible participants were identified
        8 Where and when they were identified
        9 Consecutive, random or convenience series
        10a Index test, to allow replication
        10b Reference standard, to allow replication
        11 Rationale for the reference standard
        12a Cut-offs of the index test: which, pre-specified or exploratory
        12b Cut-offs of the reference standard: which, pre-specified or exploratory
        13a Whether those who ran the index test knew clinical data and the reference standard
        13b Whether those who assessed the reference standard knew clinical data and the index test
        14 Methods for estimating and comparing accuracy
        15 How indeterminate results were handled
        16 How missing data were handled
        17 Analyses of variability, pre-specified or exploratory
        18 Intended sample size and how it was determined
        19 Flow of participants
        20 Baseline demographic and clinical characteristics
        21a Distribution of severity in those with the condition
        21b Distribution of alternative diagnoses in those without
        22 Interval and interventions between index test and reference
        23 Cross table of index test and reference
        24 Estimates of accuracy with precision
        25 Adverse events
        26 Limitations: bias, uncertainty, generalisability
        27 Implications for practice
        28 Registration number and registry
        29 Where to find the protocol
        30 Funding, role of funders
        AI-1 Data: origin, annotation, preprocessing, devices and acquisition, quality of input
        AI-2 Partitions: training, tuning and test data, and how they were kept apart
        AI-3 Index test: version, model, software, hardware, how the output becomes a decision
        AI-4 Expertise of those who used the index test, human-AI interaction
        AI-5 Errors: where and for whom the index test fails
        AI-6 Fairness: accuracy in demographic groups
        AI-7 Commercial interests
        AI-8 Availability of data sets and code, auditability
    """),
    "Items 1 to 30 are numbered as in STARD 2015. The additions of STARD-AI are listed by topic (AI-1 to AI-8), not by "
    "its own numbers: fill in the published table before you submit.",
)
