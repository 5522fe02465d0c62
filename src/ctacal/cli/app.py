"""The program ``ctacal``: its commands and options; each command's module is imported only when it runs."""

import gc
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from ctacal.evaluate.readings.form import FormOptions

app = typer.Typer(
    name="ctacal",
    add_completion=False,
    rich_markup_mode=None,  # importing rich would double the time of --help
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Coronary artery calcium from attenuation-correction CT (CTAC). Research use only, not a medical device.",
)

Paths = Annotated[list[Path], typer.Argument(help="DICOM files, folders and archives, in any mix.", show_default=False)]
Predictor = Annotated[
    str | None, typer.Option(help="What finds the calcium: networks (default) or threshold (a simple baseline).")
]
ModelFolder = Annotated[Path | None, typer.Option(help="Model folder. Default: the one that ships with ctacal.")]
Runtime = Annotated[
    Literal["onnxruntime", "openvino", "openvino-bf16"] | None,
    typer.Option(help="What runs the networks. Default: the fastest (docs/speed.md)."),
]
SecretKey = Annotated[
    Path | None, typer.Option(help="File with a secret key: replace all identifiers by pseudonyms (PS3.15).")
]
Rule = Annotated[str, typer.Option(help="Scoring rule: scct2016, agatston1990, kvp_adapted, or a TOML file.")]
MassCalibration = Annotated[
    float | None, typer.Option(help="Calibration factor in mg/cm3 of hydroxyapatite per HU; adds the calcium mass.")
]
FillGaps = Annotated[bool, typer.Option("--fill-gaps", help="Interpolate single missing slices, with a warning.")]
Untilt = Annotated[bool, typer.Option("--untilt", help="Correct a gantry tilt by resampling, with a warning.")]

Sheet = Annotated[str, typer.Option(help="Sheet of a workbook. Default: the one that has the columns.")]
Decimal = Annotated[str, typer.Option(help="Decimal mark of the table, where 1.695 may be 1695: a point or a comma.")]
Missing = Annotated[
    list[str] | None,
    typer.Option(help="Word that means no value: NA, or age=999 in one column. Empty cells always do."),
]
Range = Annotated[
    list[str] | None, typer.Option("--range", help="Possible values of a column that seem wrong: age=18:105.")
]
Dates = Annotated[str, typer.Option(help="Order in dates such as 03/04/2020: DMY or MDY.")]
Encoding = Annotated[str, typer.Option(help="Encoding of the table, if it is text but not in UTF-8.")]


@app.command()
def score(
    paths: Paths,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.", show_default=False)],
    predictor: Predictor = None,
    model: ModelFolder = None,
    runtime: Runtime = None,
    labels: Annotated[
        Path | None, typer.Option(help="Score this label map (NIfTI or DICOM SEG) instead of predicting one.")
    ] = None,
    rule: Rule = "scct2016",
    mass_calibration: MassCalibration = None,
    series: Annotated[
        str, typer.Option(help="Series to score: best, each (every suitable series), or a SeriesInstanceUID.")
    ] = "best",
    fill_gaps: FillGaps = False,
    untilt: Untilt = False,
    allow_contrast: Annotated[
        bool,
        typer.Option(
            "--allow-contrast", help="Score a CT with contrast medium, which counts as calcium, with a warning."
        ),
    ] = False,
    write: Annotated[
        str,
        typer.Option(
            help="Files to write for each study: json, html, pdf, png, seg, sr, labelmap, dicompdf, sc, nifti."
        ),
    ] = "json,html,pdf,png,seg,sr",
    phi: Annotated[
        bool, typer.Option("--phi", help="Name the patient in the reports, result.json and results.csv.")
    ] = False,
    pseudonymise: SecretKey = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep results in OUT whose input, model, rule and options are unchanged.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            help="Number of processes that score several studies. Default: one for each core.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per result.")] = False,
) -> None:
    """Score the coronary calcium of every study found. Writes OUT/results.csv and a folder per study."""
    from ctacal.cli import score as command

    options = command.Options(
        predictor=predictor, model=model, runtime=runtime, labels=labels, rule=rule,
        mass_calibration=mass_calibration, series=series, fill_gaps=fill_gaps,
        untilt=untilt, allow_contrast=allow_contrast, write=write, phi=phi, pseudonymise=pseudonymise, resume=resume,
        as_json=as_json, processes=processes,
    )  # fmt: skip
    raise typer.Exit(command.run(paths, out, options))


@app.command()
def compare(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Two scans of one patient; or studies of many patients; or a table or results folder of scores.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for the comparison; with --repeatability a file.", show_default=False),
    ],
    limits: Annotated[
        Path | None, typer.Option(help="The site's own limits. Default: simulated ones of a like scanner.")
    ] = None,
    repeatability: Annotated[
        bool,
        typer.Option("--repeatability", help="Make the site's own limits from a table of pairs (same day) instead."),
    ] = False,
    name: Annotated[
        str, typer.Option(help="With --repeatability: name of the limits. Default: that of the table.")
    ] = "",
    decides: Annotated[
        str, typer.Option(help="With --repeatability: the quantity that gives the verdict.")
    ] = "agatston",
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Give a verdict in spite of this doubt: KVP_DIFFERS, OTHER_PATIENT ... (docs/compare.md)."),
    ] = None,
    bmi: Annotated[float | None, typer.Option(help="Body mass index in kg/m2, for MESA's limits.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Column of a table: agatston=CAC, patient=ID, date=SCANNED.")
    ] = None,
    sheet: Sheet = "",
    decimal: Decimal = "",
    missing: Missing = None,
    ranges: Range = None,
    dates: Dates = "",
    encoding: Encoding = "",
    predictor: Predictor = None,
    model: ModelFolder = None,
    runtime: Runtime = None,
    rule: Rule = "scct2016",
    mass_calibration: MassCalibration = None,
    series_a: Annotated[str | None, typer.Option(help="SeriesInstanceUID of the first scan.")] = None,
    series_b: Annotated[str | None, typer.Option(help="SeriesInstanceUID of the second scan.")] = None,
    fill_gaps: FillGaps = False,
    untilt: Untilt = False,
    allow_contrast: Annotated[
        bool, typer.Option("--allow-contrast", help="Score CTs with contrast medium; they are not comparable.")
    ] = False,
    write: Annotated[
        str, typer.Option(help="Files to write for each pair: json, html, pdf, sr, results.")
    ] = "json,html,pdf,sr,results",
    phi: Annotated[bool, typer.Option("--phi", help="Name the patient in the pages and tables.")] = False,
    pseudonymise: SecretKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per comparison.")] = False,
) -> None:
    """Compare two scans of a patient: change, and whether it is beyond the limits of repeatability."""
    from ctacal.cli import compare as command

    options = command.Options(
        repeatability=repeatability, limits=limits, name=name, decides=decides, accept=accept or (), bmi=bmi,
        columns=column or (), form=_form(sheet, decimal, missing, ranges, dates, encoding), predictor=predictor,
        model=model, runtime=runtime, rule=rule, mass_calibration=mass_calibration, series_a=series_a,
        series_b=series_b, fill_gaps=fill_gaps, untilt=untilt, allow_contrast=allow_contrast, write=write, phi=phi,
        pseudonymise=pseudonymise, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(paths, out, options))


@app.command()
def info(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="List the studies and series here, and which series is the CTAC.")
    ] = None,
    licences: Annotated[
        bool, typer.Option("--licences", help="List the licences of the packages that ctacal needs.")
    ] = False,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Score the sample and compare with the recorded score.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show versions, scoring rules, decoders and weights, or the contents of PATHS."""
    from ctacal.cli import info as command

    raise typer.Exit(command.run(paths or [], licences=licences, self_check=self_check, as_json=as_json))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")] = Path("ctacal-demo"),
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples", help="Score nothing: copy the samples and their true labels here.", show_default=False
        ),
    ] = None,
) -> None:
    """Score the samples that ship with ctacal: a drawn phantom and a simulated CTAC."""
    from ctacal.cli import demo as command

    raise typer.Exit(command.copy_samples(samples) if samples else command.run(out))


@app.command()
def simulate(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the studies.", show_default=False)] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--centre",
            "--protocol",
            help="Scanner protocols: presets or TOML files, used in turn. Default: all CTAC systems.",
        ),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of studies.")] = 1,
    seed: Annotated[int, typer.Option(help="Random seed of the cohort. Study k of a seed is always the same.")] = 0,
    workers: Annotated[int, typer.Option(help="Number of processes; each takes up to 2 GB.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep complete studies in OUT.")] = False,
    sex: Annotated[str | None, typer.Option(help="Sex: F or M. Default: random.")] = None,
    age: Annotated[float | None, typer.Option(help="Age in years. Default: random.")] = None,
    bmi: Annotated[float | None, typer.Option(help="Body mass index in kg/m2. Default: random.")] = None,
    no_calcium: Annotated[bool, typer.Option("--no-calcium", help="Simulate no calcium and no devices.")] = False,
    write: Annotated[
        str | None, typer.Option(help="Files to write: dicom, nifti, seg, ct. Default: dicom,nifti,seg.")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Simulate the study of this study.json again.")] = None,
    list_protocols: Annotated[
        bool, typer.Option("--list-centres", "--list-protocols", help="Print the preset scanner protocols.")
    ] = False,
    describe: Annotated[
        bool, typer.Option("--describe", help="Print the descriptions only, one line of JSON per study.")
    ] = False,
    realism: Annotated[
        bool,
        typer.Option("--realism", help="Compare simulated scans with the reference scans. Writes OUT/realism.html."),
    ] = False,
    real: Annotated[Path | None, typer.Option(help="With --realism and --centre: compare with this scan.")] = None,
    insert: Annotated[
        Path | None, typer.Option(help="Insert calcium into this calcium-free scan; --centre degrades it.")
    ] = None,
    lines: Annotated[Path | None, typer.Option(help="With --insert: your own coronary centre lines (JSON).")] = None,
    allow_calcium: Annotated[
        bool, typer.Option("--allow-calcium", help="With --insert: accept a scan that shows calcium.")
    ] = False,
) -> None:
    """Simulate CTAC studies with known calcium. Writes a folder per study and OUT/manifest.csv."""
    from ctacal.cli import simulate as command

    options = command.Options(
        out=out, protocols=protocol or (), count=count, seed=seed, workers=workers, resume=resume, sex=sex,
        age_years=age, bmi=bmi, no_calcium=no_calcium, write=write, replay=replay, list_protocols=list_protocols,
        describe=describe, realism=realism, real=real, insert=insert, lines=lines, allow_calcium=allow_calcium,
    )  # fmt: skip
    raise typer.Exit(command.run(options))


@app.command()
def accuracy(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of results.csv.", show_default=False)],
    cohort: Annotated[
        list[Path] | None, typer.Argument(help="Folders of test studies (.npz).", show_default=False)
    ] = None,
    hard: Annotated[
        list[Path] | None, typer.Option(help="Folder of test studies that are hard; reported apart, own goal.")
    ] = None,
    inserted: Annotated[
        list[Path] | None, typer.Option(help="Folder of calcium inserted into real scans; reported apart, no goals.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder to judge. Default: the model that ships with ctacal.")
    ] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Model folder to compare with; the threshold baseline always runs too.")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(help="Write the model card to this file: of the cohorts given, or of all that OUT holds."),
    ] = None,
    real: Annotated[Path | None, typer.Option(help="With --card: TOML that says what is known of real scans.")] = None,
    scans: Annotated[
        list[Path] | None,
        typer.Option(help="With --real: folder of these scans (DICOM), scored by each model into OUT/real."),
    ] = None,
    rescans: Annotated[
        Path | None,
        typer.Option(help="With --card: folder of ctacal rescan, for how much scores change by themselves."),
    ] = None,
) -> None:
    """Score test studies with known truth by a model and the baseline. Writes one row each to OUT/results.csv.

    The same command goes on after an interruption.
    """
    from ctacal.cli import accuracy as command

    options = command.Options(
        cohorts=cohort or (), out=out, hard=hard or (), inserted=inserted or (), model=model, compare=compare or (),
        card=card, real=real, scans=scans or (), rescans=rescans,
    )  # fmt: skip
    raise typer.Exit(command.run(options))


def _form(
    sheet: str, decimal: str, missing: list[str] | None, ranges: list[str] | None, dates: str, encoding: str
) -> "FormOptions":
    from ctacal.evaluate.readings.form import FormOptions

    return FormOptions(
        sheet=sheet, decimal=decimal, missing=missing or (), ranges=ranges or (), dates=dates, encoding=encoding
    )


@app.command()
def agree(
    table: Annotated[
        Path, typer.Argument(help="Scores of readers and models: CSV, TSV, Parquet or XLSX.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the report.", show_default=False)] = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(help="Column of a reader's scores; the first is the reference. Default: found by name."),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Column of a model's scores. Default: found by name.")] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Column of a reader or model that holds categories (0 to 3, 1-100 ..), not scores."),
    ] = None,
    words: Annotated[
        str, typer.Option(help="Words of the table for the categories, lowest first: none,mild,moderate,severe.")
    ] = "",
    name: Annotated[
        list[str] | None, typer.Option(help="Name in tables and figures: reader_1='Reader 1'.", show_default=False)
    ] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="results.csv of ctacal score, or its folder; joined by study.")
    ] = None,
    identifier: Annotated[
        list[str] | None,
        typer.Option("--id", help="Column of the study identifier, or several columns. Default: found by name."),
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Column of the patient, if patients have several studies: resampled together.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label maps: folder (READER/STUDY.nii.gz or .dcm), or table with a column for each reader."),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Readers and models may have scored a part of the studies only.")
    ] = False,
    drop: Annotated[
        str, typer.Option(help="Drop and count these rows: missing,not-a-number,out-of-range,duplicated.")
    ] = "",
    sheet: Sheet = "",
    decimal: Decimal = "",
    missing: Missing = None,
    ranges: Range = None,
    dates: Dates = "",
    encoding: Encoding = "",
    seed: Annotated[int, typer.Option(help="Random seed of the resampling, or of the example.")] = 0,
    example: Annotated[
        bool, typer.Option("--example", help="Write a simulated example to TABLE (CSV) instead.")
    ] = False,
) -> None:
    """Compare readers and models: tables, figures and a report on their agreement."""
    from ctacal.cli import agree as command

    options = command.Options(
        readers=reader or (), models=model or (), results=results or (), identifier=identifier or (), patient=patient,
        labels=labels, incomplete=incomplete, drop=drop, seed=seed, example=example,
        categories=category or (), words=words, names=name or (),
        form=_form(sheet, decimal, missing, ranges, dates, encoding),
    )  # fmt: skip
    raise typer.Exit(command.run(table, out, options))


@app.command()
def cohort(
    results: Annotated[
        list[Path],
        typer.Argument(help="One or more results.csv of ctacal score, or their folders.", show_default=False),
    ],
    clinical: Annotated[
        Path, typer.Argument(help="The clinical table: CSV, TSV, Parquet or XLSX.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The table to write; its extension sets the format.", show_default=False)
    ],
    key: Annotated[
        Path | None, typer.Option(help="Table that links studies to patients, if CLINICAL has no column of studies.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Column of the StudyInstanceUID, in CLINICAL or in the key. Default: found by name."),
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Column of the patient identifier. Default: found by name.")
    ] = None,
    choose: Annotated[
        str, typer.Option(help="If a patient has several studies: refuse, earliest, latest, or nearest to --date.")
    ] = "refuse",
    date: Annotated[
        str | None, typer.Option(help="Column of CLINICAL with the date that the study should be nearest to.")
    ] = None,
    within: Annotated[float | None, typer.Option(help="Largest distance from that date, in days.")] = None,
    sheet: Sheet = "",
    decimal: Decimal = "",
    missing: Missing = None,
    dates: Dates = "",
    encoding: Encoding = "",
) -> None:
    """Join scored studies with the clinical table, one row per patient. Lists what is left out beside OUT."""
    from ctacal.cli import cohort as command

    options = command.Options(
        key=key, study=study, patient=patient, choose=choose, date=date, within_days=within,
        form=_form(sheet, decimal, missing, None, dates, encoding),
    )  # fmt: skip
    raise typer.Exit(command.run(results, clinical, out, options))


@app.command()
def samples(
    what: Annotated[
        Literal["heart", "anatomy", "calcium", "plaques", "validation", "test", "inserted", "site"],
        typer.Argument(help="Samples to make: simulated, or from a site's own annotated studies.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the samples (.npz).", show_default=False)],
    count: Annotated[int, typer.Option("-n", "--count", help="Number of simulated patients.")] = 1,
    each: Annotated[
        int, typer.Option(help="Samples per patient. 0: heart 6, anatomy 3, calcium 14, plaques 8, studies 10.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Random seed of the set. Patient k of a seed is always the same.")] = 0,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--centre",
            "--protocol",
            help="Scanner protocols: presets or TOML files. Default: those for training, or for testing.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    recipe: Annotated[Path | None, typer.Option(help="Recipe of the network whose pixel size the samples get.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="With plaques: model that finds the islands. Default: the model that ships.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Table of a site's studies: CSV with study, labels, split.")
    ] = None,
    scan: Annotated[list[Path] | None, typer.Option(help="With inserted: a real scan without calcium.")] = None,
    allow_calcium: Annotated[
        bool, typer.Option("--allow-calcium", help="With inserted: accept a scan that shows calcium.")
    ] = False,
    hard: Annotated[
        bool,
        typer.Option(
            "--hard", help="Many confounders; for training and validation unusual patients and protocols too."
        ),
    ] = False,
    rare: Annotated[
        bool, typer.Option("--rare", help="With plaques: many stents, left main plaques and slow tubes.")
    ] = False,
) -> None:
    """Make samples for training, validation and testing. Makes only what OUT does not hold yet."""
    from ctacal.cli import samples as command

    options = command.Options(
        what=what, out=out, count=count, each=each, seed=seed, protocols=protocol or (), workers=workers,
        recipe=recipe, model=model, table=table, scans=scan or (), allow_calcium=allow_calcium, hard=hard, rare=rare,
    )  # fmt: skip
    raise typer.Exit(command.run(options))


@app.command()
def rescan(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the tables of scores.", show_default=False)],
    patients: Annotated[int, typer.Option("-n", "--count", help="Number of simulated patients.")] = 1,
    each: Annotated[int, typer.Option(help="Scans of each patient's calcium at each centre.")] = 3,
    seed: Annotated[int, typer.Option(help="Random seed of the set. Patient k of a seed is always the same.")] = 0,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--centre", "--protocol", help="Scanner presets or TOML files. Default: all CTAC systems."),
    ] = None,
    model: ModelFolder = None,
    workers: Annotated[int, typer.Option(help="Number of processes.")] = 1,
    limits: Annotated[
        Path | None, typer.Option(help="Folder for the limits of repeatability, a file for each centre.")
    ] = None,
) -> None:
    """Scan simulated patients again and again, score each scan, and learn how much scores change by themselves.

    Makes only what OUT does not hold yet. One patient takes about ten minutes of a core.
    """
    from ctacal.cli import rescan as command

    options = command.Options(
        out=out, patients=patients, each=each, seed=seed, protocols=protocol or (), model=model, workers=workers,
        limits=limits,
    )  # fmt: skip
    raise typer.Exit(command.run(options))


@app.command()
def train(
    recipe: Annotated[
        Path, typer.Argument(help="Recipe: the network and its training samples (TOML).", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the run. [default: runs/NAME]")] = None,
) -> None:
    """Train a network by a recipe. The same command resumes a run that was stopped."""
    from ctacal.cli import train as command

    raise typer.Exit(command.run(recipe, out))


@app.command()
def export(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model.", show_default=False)],
    heart: Annotated[
        Path | None, typer.Option(help="Checkpoint of the heart network, or a model folder that holds it.")
    ] = None,
    calcium: Annotated[Path | None, typer.Option(help="Checkpoint of the calcium network, or a model folder.")] = None,
    plaque: Annotated[
        Path | None, typer.Option(help="Checkpoint of the plaque network, or a model folder. Default: none.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model in results.")] = "ctacal-networks",
    version: Annotated[str | None, typer.Option(help="Version of the model. Default: the version of ctacal.")] = None,
    start: Annotated[
        Path | None, typer.Option(help="Model folder from which the calcium network was trained on.")
    ] = None,
    keep: Annotated[float, typer.Option(help="Share of the weights of --start to keep, 0 to 1.")] = 0.0,
    bits: Annotated[int, typer.Option(help="Bits of the fraction of each weight: fewer make a smaller wheel.")] = 23,
    again: Annotated[
        Path | None,
        typer.Option(help="Instead: model folder whose weights and calibration stay, with the graphs of this version."),
    ] = None,
) -> None:
    """Export checkpoints as a model for scoring (ONNX) and check that both give the same output."""
    from ctacal.cli import export as command

    status = command.run(
        heart, calcium, out, name=name, version=version, plaque=plaque, start=start, keep=keep, bits=bits, again=again
    )  # fmt: skip
    raise typer.Exit(status)


@app.command()
def calibrate(
    cohort: Annotated[
        Path, typer.Argument(help="Folder of validation studies (ctacal samples validation).", show_default=False)
    ],
    model: Annotated[Path, typer.Option(help="Model folder made by export.", show_default=False)],
    thresholds: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Probability from which a large island counts, and the smallest. Default: fitted."),
    ] = None,
    unusual: Annotated[
        Path | None,
        typer.Option(help="Folder of studies at unusual protocols that the networks know: no warning for such scans."),
    ] = None,
) -> None:
    """Calibrate a model's uncertainty and training range on validation studies. Updates its model.json."""
    from ctacal.cli import calibrate as command

    raise typer.Exit(command.run(model, cohort, thresholds, unusual))


@app.command()
def finetune(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Tables (CSV: study, labels, split), or folders of samples.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of the run; the model goes to OUT/model.", show_default=False)
    ],
    model: ModelFolder = None,
    guard: Annotated[
        list[Path] | None, typer.Option(help="Guard set: simulated samples never trained on, scored before and after.")
    ] = None,
    no_guard: Annotated[bool, typer.Option("--no-guard", help="Do not check for forgetting.")] = False,
    steps: Annotated[int, typer.Option(help="Number of training steps.")] = 300,
    learning_rate: Annotated[
        float, typer.Option(help="Highest learning rate; training from scratch uses 2e-3.")
    ] = 2e-4,
    allowed_fall: Annotated[
        float, typer.Option(help="Largest fall of kappa on the guard set that is accepted.")
    ] = 0.02,
    force: Annotated[
        bool, typer.Option("--force", help="Write the model even if kappa on the guard set fell too far.")
    ] = False,
) -> None:
    """Fine-tune the calcium network on a few of a site's own studies, guarded against forgetting."""
    from ctacal.cli import finetune as command

    options = command.Options(
        model=model, guard=guard or (), no_guard=no_guard, steps=steps, learning_rate=learning_rate,
        allowed_fall=allowed_fall, force=force,
    )  # fmt: skip
    raise typer.Exit(command.run(sources, out, options))


@app.command()
def outcomes(
    table: Annotated[Path, typer.Argument(help="One row per patient: CSV, TSV, Parquet or XLSX.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", help="TOML that describes the columns. Default: TABLE with the extension .toml."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the report.", show_default=False)] = None,
    drop: Annotated[
        str, typer.Option(help="Drop and count these rows: missing, not-a-number, out-of-range, duplicated.")
    ] = "",
    sheet: Sheet = "",
    decimal: Decimal = "",
    missing: Missing = None,
    ranges: Range = None,
    dates: Dates = "",
    encoding: Encoding = "",
    example: Annotated[bool, typer.Option("--example", help="Write a simulated TABLE and its TOML instead.")] = False,
) -> None:
    """Analyse prognosis: Kaplan-Meier, Cox, reclassification, calibration and more, as tables, figures and a report."""
    from ctacal.cli import outcomes as command

    form = _form(sheet, decimal, missing, ranges, dates, encoding)
    raise typer.Exit(command.run(table, config, out, drop=drop, form=form, example=example))


@app.command()
def paper(
    recipe: Annotated[Path, typer.Argument(help="Recipe, such as recipes/paper.toml.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the table and the reports.", show_default=False)],
) -> None:
    """Simulate a cohort from the published figures and estimate them again: tests the estimators, not patients."""
    from ctacal.cli import paper as command

    raise typer.Exit(command.run(recipe, out))


ReadingsFolder = Annotated[
    Path | None, typer.Option("--readings", help="Folder for the readings; back it up.", show_default=False)
]
Reader = Annotated[
    list[str] | None, typer.Option("--reader", help="Name of a reader, once for each. Default: the computer's user.")
]
Adjudicator = Annotated[list[str] | None, typer.Option("--adjudicator", help="Who settles readings that disagree.")]
Administrator = Annotated[list[str] | None, typer.Option("--administrator", help="Who sees everybody's progress.")]
StudyPlan = Annotated[
    Path | None, typer.Option("--plan", help="TOML of a reader study: readers, sessions, blinding.", show_default=False)
]
Database = Annotated[
    str, typer.Option("--database", help="PostgreSQL URL for the list of studies. Default: a file beside the readings.")
]
NamePatients = Annotated[bool, typer.Option("--phi", help="Name the patients on the page, unless the plan is blind.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen at; others than loopback need TLS or a proxy.")]
Port = Annotated[int, typer.Option("--port", help="Port. Default: any free one.", min=0, max=65535)]
HostName = Annotated[
    list[str] | None, typer.Option("--host-name", help="Name by which browsers call the server, with its port.")
]
Certificate = Annotated[Path | None, typer.Option("--tls-certificate", help="TLS certificate (PEM).")]
Key = Annotated[Path | None, typer.Option("--tls-key", help="Its private key (PEM).")]
ProxyAddress = Annotated[
    list[str] | None, typer.Option("--proxy", help="IP address of a reverse proxy that signs readers in.")
]
ProxySecret = Annotated[
    Path | None, typer.Option("--proxy-secret", help="File with the secret that the proxy sends with each request.")
]
UserHeader = Annotated[str, typer.Option("--user-header", help="Header in which the proxy names the reader.")]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the link, and open no browser.")]


@app.command()
def review(
    out: Annotated[Path, typer.Argument(help="Folder that ctacal score wrote.", show_default=False)],
    images: Annotated[
        list[Path] | None, typer.Option("--images", help="Where the images lie. Default: where they were scored.")
    ] = None,
    readings: ReadingsFolder = None,
    reader: Reader = None,
    adjudicator: Adjudicator = None,
    administrator: Administrator = None,
    plan: StudyPlan = None,
    database: Database = "",
    phi: NamePatients = False,
    host: Host = "127.0.0.1",
    port: Port = 0,
    host_name: HostName = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    proxy: ProxyAddress = None,
    proxy_secret: ProxySecret = None,
    user_header: UserHeader = "x-remote-user",
    no_browser: NoBrowser = False,
) -> None:
    """Correct and sign the results of a run by hand, in the browser. Readings go to OUT/readings."""
    from ctacal.cli import review as command

    options = command.Options(
        readings=readings, readers=reader or (), adjudicators=adjudicator or (), administrators=administrator or (),
        plan=plan, database=database, phi=phi, host=host, port=port, host_names=host_name or (),
        certificate=tls_certificate, key=tls_key, proxies=proxy or (), proxy_secret=proxy_secret,
        user_header=user_header, no_browser=no_browser,
    )  # fmt: skip
    raise typer.Exit(command.review(out, images or (), options))


@app.command()
def annotate(
    paths: Paths,
    readings: ReadingsFolder = None,
    reader: Reader = None,
    adjudicator: Adjudicator = None,
    administrator: Administrator = None,
    plan: StudyPlan = None,
    database: Database = "",
    phi: NamePatients = False,
    rule: Rule = "scct2016",
    mass_calibration: MassCalibration = None,
    fill_gaps: FillGaps = False,
    untilt: Untilt = False,
    host: Host = "127.0.0.1",
    port: Port = 0,
    host_name: HostName = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    proxy: ProxyAddress = None,
    proxy_secret: ProxySecret = None,
    user_header: UserHeader = "x-remote-user",
    no_browser: NoBrowser = False,
) -> None:
    """Score studies by hand from scratch, in the browser. Readings go to ./ctacal-readings."""
    from ctacal.cli import review as command

    options = command.Options(
        readings=readings, readers=reader or (), adjudicators=adjudicator or (), administrators=administrator or (),
        plan=plan, database=database, phi=phi, rule=rule, mass_calibration=mass_calibration, fill_gaps=fill_gaps,
        untilt=untilt, host=host, port=port, host_names=host_name or (), certificate=tls_certificate, key=tls_key,
        proxies=proxy or (), proxy_secret=proxy_secret, user_header=user_header, no_browser=no_browser,
    )  # fmt: skip
    raise typer.Exit(command.annotate(paths, options))


readings_app = typer.Typer(
    help="Readings by people: check them, write them as files, report on them.", no_args_is_help=True
)
app.add_typer(readings_app, name="readings")

Folder = Annotated[Path, typer.Argument(help="Folder of readings.", show_default=False)]


@readings_app.command("verify")
def readings_verify(folder: Folder) -> None:
    """Check that nothing in the readings was altered: every chain of events, every signature."""
    from ctacal.cli import readings as command

    raise typer.Exit(command.run_verify(folder))


@readings_app.command("export")
def readings_export(
    folder: Folder,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the files.", show_default=False)],
    write: Annotated[str, typer.Option(help="Files to write for each reading: seg, sr, nifti.")] = "seg,sr,nifti",
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Export readings that nobody has signed too; their SR is preliminary.")
    ] = False,
    organisation: Annotated[str, typer.Option(help="Organisation of the readers, for the SR.")] = "not stated",
    database: Database = "",
) -> None:
    """Write signed readings as DICOM SEG and SR, NIfTI, and as tables for agree, samples site and finetune."""
    from ctacal.cli import readings as command

    raise typer.Exit(
        command.run_export(folder, out, write, unsigned=unsigned, organisation=organisation, database=database)
    )


@readings_app.command("report")
def readings_report(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    database: Database = "",
) -> None:
    """Report on the reading itself: median time with quartiles, edits, agreement with the model."""
    from ctacal.cli import readings as command

    raise typer.Exit(command.run_report(folder, database, as_json=as_json))


batch_app = typer.Typer(
    help="Up to a million studies: plan them, run them on one machine or many, watch and collect.", no_args_is_help=True
)
app.add_typer(batch_app, name="batch")

Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder or URI (s3://...) of the run.", show_default=False)]


@batch_app.command("plan")
def batch_plan(
    out: Annotated[str, typer.Option("-o", "--out", help="Folder or URI of the run.", show_default=False)],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, archives, patterns in quotes, or URIs such as s3://bucket/ct.", show_default=False
        ),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="Text file with a study a line; tabs between several places of one."),
    ] = None,
    idc: Annotated[
        list[Path] | None, typer.Option("--idc", help="Manifest of the IDC: s5cmd, or idc-index as CSV or Parquet.")
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            help="How far below each path the studies lie. Default: 1 below a single folder, else 0: each path is one.",
            min=0,
            max=9,
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[bool, typer.Option("--sizes", help="Look at the size of each file, for status.")] = False,
    shards: Annotated[
        int | None, typer.Option(help="Number of shards. Default: one for 1,000 rows, 64 to 4,096.", min=1, max=9999)
    ] = None,
    predictor: Predictor = None,
    model: ModelFolder = None,
    runtime: Runtime = None,
    rule: Rule = "scct2016",
    mass_calibration: MassCalibration = None,
    series: Annotated[
        str, typer.Option(help="Series to score: best, each (every suitable series), or a SeriesInstanceUID.")
    ] = "best",
    fill_gaps: FillGaps = False,
    untilt: Untilt = False,
    allow_contrast: Annotated[
        bool, typer.Option("--allow-contrast", help="Score a CT with contrast medium, with a warning.")
    ] = False,
    write: Annotated[
        str, typer.Option(help="Files for each study: json, html, pdf, png, seg, sr, labelmap, dicompdf, sc, nifti.")
    ] = "json",
    phi: Annotated[bool, typer.Option("--phi", help="Name the patient in results and tables.")] = False,
    pseudonymise: SecretKey = None,
) -> None:
    """Plan a run: what is scored, and how. Opens no image; a plan that is there already is found again."""
    from ctacal.cli import batch as command

    options = command.PlanOptions(
        paths=paths or (), lists=lists or (), idc=idc or (), depth=depth, sizes=sizes, shards=shards,
        predictor=predictor, model=model, runtime=runtime, rule=rule, mass_calibration=mass_calibration, series=series,
        fill_gaps=fill_gaps, untilt=untilt, allow_contrast=allow_contrast, write=write, phi=phi,
        pseudonymise=pseudonymise,
    )  # fmt: skip
    raise typer.Exit(command.run_plan(out, options))


@batch_app.command("run")
def batch_run(
    run: Run,
    shard: Annotated[
        str, typer.Option(help="This part of the shards: i/n with i from 0; slurm/n, kubernetes/n in an array.")
    ] = "0/1",
    processes: Annotated[
        int | None, typer.Option(help="Number of processes. Default: one for each core.", min=1)
    ] = None,
    memory_mb: Annotated[int, typer.Option(help="Memory that a study may take, in MB.", min=256)] = 4096,
    time_s: Annotated[float, typer.Option(help="Time that a study may take, in seconds.", min=1)] = 600.0,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try rows again that gave nothing.")] = False,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="What scores: this machine, or a Ray cluster (extra ray).")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster. Default: RAY_ADDRESS, or a new one on this machine.")
    ] = None,
    print_sbatch: Annotated[
        int | None, typer.Option(help="Print a SLURM script for an array of so many tasks, and stop.", min=1)
    ] = None,
    print_job: Annotated[
        int | None, typer.Option(help="Print a Kubernetes Job of so many pods, and stop.", min=1)
    ] = None,
) -> None:
    """Score what is not done yet. Exit status: 0 done, 1 a disk or network failed, 75 handed back: run it again."""
    from ctacal.cli import batch as command

    options = command.RunOptions(
        shard=shard, processes=processes, memory_mb=memory_mb, time_s=time_s, retry_failed=retry_failed,
        engine=engine, ray_address=ray_address, print_sbatch=print_sbatch, print_job=print_job,
    )  # fmt: skip
    raise typer.Exit(command.run_run(run, options))


@batch_app.command("status")
def batch_status(
    run: Run,
    price: Annotated[
        float | None, typer.Option(help="Price of a core for an hour, in any currency: adds the cost of 1,000 studies.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a run stands, from any machine that sees its folder or bucket."""
    from ctacal.cli import batch as command

    raise typer.Exit(command.run_status(run, price, as_json=as_json))


@batch_app.command("collect")
def batch_collect(
    run: Run,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for the tables. Default: RUN, if it is a folder.")
    ] = None,
) -> None:
    """Write results.csv, results.parquet, failed.csv and index.html of what is done, also while the run goes on."""
    from ctacal.cli import batch as command

    raise typer.Exit(command.run_collect(run, out))


class _NodeCommands(TyperGroup):
    """``ctacal node CONFIG.toml`` is short for ``ctacal node run CONFIG.toml``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["run", *args]
        return super().parse_args(ctx, args)


node_app = typer.Typer(
    cls=_NodeCommands,
    help="The DICOM node: receives studies, scores them and sends the results. `ctacal node CONFIG.toml` runs it.",
    no_args_is_help=True,
)
app.add_typer(node_app, name="node")

NodeFile = Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="Configuration of the node.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@node_app.command("run")
def node_run(config: NodeFile) -> None:
    """Run the node until it is stopped (SIGTERM, or Ctrl-C)."""
    from ctacal.cli import node as command

    raise typer.Exit(command.run(config))


@node_app.command("check")
def node_check(config: NodeFile, as_json: AsJson = False) -> None:
    """Try everything that the node needs: store, database, ports, certificates, model, each destination."""
    from ctacal.cli import node as command

    raise typer.Exit(command.run_check(config, as_json=as_json))


@node_app.command("status")
def node_status(config: NodeFile, as_json: AsJson = False) -> None:
    """Show how the node stands: queues, what is held, what a person must do."""
    from ctacal.cli import node as command

    raise typer.Exit(command.run_status(config, as_json=as_json))


@node_app.command("give-up")
def node_give_up(
    config: NodeFile,
    destination: Annotated[
        str, typer.Option(help="All that is held for this destination; all that is for it, if it is gone.")
    ] = "",
    delivery: Annotated[int | None, typer.Option(help="One result that is held, by its number.")] = None,
    to: Annotated[str, typer.Option(help="Send it to this destination instead of giving it up.")] = "",
) -> None:
    """Give up results that cannot be delivered, or send them to another destination."""
    from ctacal.cli import node as command

    raise typer.Exit(command.run_give_up(config, destination=destination, delivery=delivery, to=to))


@node_app.command("link")
def node_link(config: NodeFile) -> None:
    """Print a link that signs a person in to the pages, once within ten minutes."""
    from ctacal.cli import node as command

    raise typer.Exit(command.run_link(config))


@node_app.command("sample")
def node_sample(
    name: Annotated[str, typer.Argument(help="node.toml, or ctacal-node.service for systemd.")] = "node.toml",
) -> None:
    """Print a configuration with comments, or a unit for systemd, to begin with."""
    from ctacal.cli import node as command

    raise typer.Exit(command.run_sample(name))


def main() -> None:
    """Run the program. Wrong usage, or a file or folder that fails, ends in one line and exit status 2.

    Names of files may hold what the terminal cannot show: such characters are printed as escapes.

    Imports create about 100,000 objects that stay until the end. Python's search for garbage among them is postponed,
    and skipped at the end, which saves a cold ``ctacal score`` 0.04 and 0.1 s.
    """
    from ctacal.errors import UsageError, system_message
    from ctacal.names import printable

    gc.set_threshold(200_000)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except UsageError as problem:
        sys.exit(_complain(str(problem)))
    except OSError as problem:
        where = f"{printable(problem.filename)}: " if problem.filename else ""
        sys.exit(_complain(f"{where}{system_message(problem)}"))
    finally:
        gc.freeze()


def _complain(message: str) -> int:
    typer.echo(f"ctacal: {message}", err=True)
    return 2
