"""The program ``ctacal``: its commands and options; each command's module is imported only when it runs."""

import gc
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    name="ctacal",
    add_completion=False,
    rich_markup_mode=None,  # importing rich would double the time of --help
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Coronary artery calcium from attenuation-correction CT (CTAC). Research use only, not a medical device.",
)

Paths = Annotated[list[Path], typer.Argument(help="DICOM files, folders, zips, in any mix.", show_default=False)]


@app.command()
def score(
    paths: Paths,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.", show_default=False)],
    predictor: Annotated[
        str | None, typer.Option(help="What finds the calcium: networks (default), or threshold, a plain baseline.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder. Default: the one that ships with ctacal.")] = None,
    runtime: Annotated[
        Literal["onnxruntime", "openvino"], typer.Option(help="What runs the networks.")
    ] = "onnxruntime",
    labels: Annotated[Path | None, typer.Option(help="Score this label map (NIfTI or DICOM SEG) instead.")] = None,
    rule: Annotated[
        str, typer.Option(help="Scoring rule: scct2016, agatston1990, kvp_adapted, or a TOML file.")
    ] = "scct2016",
    mass_calibration: Annotated[
        float | None, typer.Option(help="mg/cm3 of hydroxyapatite per HU; adds the mass.")
    ] = None,
    series: Annotated[str, typer.Option(help="best, each (that fits), or a SeriesInstanceUID.")] = "best",
    fill_gaps: Annotated[
        bool, typer.Option("--fill-gaps", help="Interpolate single missing slices, with a warning.")
    ] = False,
    untilt: Annotated[bool, typer.Option("--untilt", help="Resample a gantry tilt away, with a warning.")] = False,
    write: Annotated[
        str, typer.Option(help="What to write a study: json, html, pdf, png, seg, sr, labelmap, dicompdf, sc, nifti.")
    ] = "json,html,pdf,png,seg,sr",
    phi: Annotated[bool, typer.Option("--phi", help="Let the pages name the patient.")] = False,
    pseudonymise: Annotated[
        Path | None, typer.Option(help="File with a secret key: name nobody (PS3.15), stable pseudonyms instead.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep results that OUT already holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line per result.")] = False,
) -> None:
    """Score the coronary calcium of every study found: OUT/results.csv, and a folder per study."""
    from ctacal.cli import score as command

    options = command.Options(
        predictor=predictor, model=model, runtime=runtime, labels=labels, rule=rule,
        mass_calibration=mass_calibration, series=series, fill_gaps=fill_gaps,
        untilt=untilt, write=write, phi=phi, pseudonymise=pseudonymise, resume=resume,
        as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(command.run(paths, out, options))


@app.command()
def info(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="List what lies here: studies, series, which is the CTAC.")
    ] = None,
    licences: Annotated[
        bool, typer.Option("--licences", help="List the licences of what is installed with ctacal.")
    ] = False,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Score the sample and compare with the record.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Versions, rules, decoders and weights; or what lies in PATHS."""
    from ctacal.cli import info as command

    raise typer.Exit(command.run(paths or [], licences=licences, self_check=self_check, as_json=as_json))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")] = Path("ctacal-demo"),
) -> None:
    """Score the sample that ships with ctacal (a drawn phantom) and leave a score, a result file and a picture."""
    from ctacal.cli import demo as command

    raise typer.Exit(command.run(out))


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
    count: Annotated[int, typer.Option("-n", "--count", help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the cohort; study k of a seed is always the same.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes, of up to 2 GB each.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep whole studies that OUT already holds.")] = False,
    sex: Annotated[str | None, typer.Option(help="F or M. Default: drawn.")] = None,
    age: Annotated[float | None, typer.Option(help="Years. Default: drawn.")] = None,
    bmi: Annotated[float | None, typer.Option(help="kg/m2. Default: drawn.")] = None,
    no_calcium: Annotated[bool, typer.Option("--no-calcium", help="No calcium and no devices.")] = False,
    write: Annotated[
        str | None, typer.Option(help="What to write, of: dicom, nifti, seg, ct. Default: dicom,nifti,seg.")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Make the study of this study.json again.")] = None,
    list_protocols: Annotated[
        bool, typer.Option("--list-centres", "--list-protocols", help="Print the preset scanner protocols.")
    ] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Print descriptions, a JSON line each.")] = False,
    realism: Annotated[
        bool, typer.Option("--realism", help="Compare simulated with the reference scans: OUT/realism.html.")
    ] = False,
    real: Annotated[Path | None, typer.Option(help="With --realism and --centre: compare with this scan.")] = None,
    insert: Annotated[
        Path | None, typer.Option(help="Insert calcium into this calcium-free scan; --centre degrades it.")
    ] = None,
    lines: Annotated[Path | None, typer.Option(help="With --insert: coronary centre lines of your own (JSON).")] = None,
    allow_calcium: Annotated[
        bool, typer.Option("--allow-calcium", help="With --insert: the scan may hold calcium.")
    ] = False,
) -> None:
    """Simulate CTAC studies with exact truth: a folder per study, and OUT/manifest.csv."""
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
    cohort: Annotated[Path | None, typer.Argument(help="Folder of test studies (.npz).", show_default=False)] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="Model folder; the card is of the first. The baseline always runs too.")
    ] = None,
    kind: Annotated[str, typer.Option(help="Of the cohort: simulated, or inserted (into real scans).")] = "simulated",
    card: Annotated[Path | None, typer.Option(help="Write the model card of what OUT holds here.")] = None,
    real: Annotated[
        Path | None, typer.Option(help="With --card: TOML of real scans and of what ctacal score said of them.")
    ] = None,
) -> None:
    """Score test studies whose truth is known, by each model and the baseline: a line each in OUT/results.csv."""
    from ctacal.cli import accuracy as command

    options = command.Options(cohort=cohort, out=out, models=model or (), kind=kind, card=card, real=real)
    raise typer.Exit(command.run(options))


@app.command()
def agree(
    table: Annotated[
        Path, typer.Argument(help="Scores of readers and models: CSV, TSV, Parquet or XLSX.", show_default=False)
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the report.", show_default=False)] = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(help="Column of a reader's scores; the first is the reference. Default: by name."),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Column of a model's scores. Default: by name.")] = None,
    results: Annotated[
        list[Path] | None, typer.Option(help="results.csv of ctacal score, or its folder: joined by the study.")
    ] = None,
    identifier: Annotated[
        str | None, typer.Option("--id", help="Column of the study's identifier. Default: by name.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Column of the patient, where one has several studies: drawn together.")
    ] = None,
    drop: Annotated[
        str, typer.Option(help="Leave such rows out and count them: missing,not-a-number,out-of-range,duplicated.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the resampling, or of the example.")] = 0,
    example: Annotated[bool, typer.Option("--example", help="Write a drawn example to TABLE (CSV) instead.")] = False,
) -> None:
    """Reader against model, reader against reader, models against each other: tables, figures, report."""
    from ctacal.cli import agree as command

    options = command.Options(
        readers=reader or (), models=model or (), results=results or (), identifier=identifier, patient=patient,
        drop=drop, seed=seed, example=example,
    )  # fmt: skip
    raise typer.Exit(command.run(table, out, options))


@app.command()
def cohort(
    results: Annotated[
        list[Path], typer.Argument(help="results.csv of ctacal score, or its folder; several.", show_default=False)
    ],
    clinical: Annotated[
        Path, typer.Argument(help="The clinical table: CSV, TSV, Parquet or XLSX.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The table to write; its ending says the kind.", show_default=False)
    ],
    key: Annotated[
        Path | None, typer.Option(help="Table of study and patient, where CLINICAL does not hold the study itself.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Column of the StudyInstanceUID, in CLINICAL or in the key. Default: found by name."),
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Column of the patient's identifier. Default: found by name.")
    ] = None,
    choose: Annotated[
        str, typer.Option(help="Of several studies of a patient: refuse, earliest, latest, or nearest to --date.")
    ] = "refuse",
    date: Annotated[str | None, typer.Option(help="Column of CLINICAL: the date that a study is to be near.")] = None,
    within: Annotated[float | None, typer.Option(help="Days from that date at most.")] = None,
) -> None:
    """Join scored studies with the clinical table, one row a patient; all that is left out is listed beside OUT."""
    from ctacal.cli import cohort as command

    options = command.Options(key=key, study=study, patient=patient, choose=choose, date=date, within_days=within)
    raise typer.Exit(command.run(results, clinical, out, options))


@app.command()
def samples(
    what: Annotated[
        Literal["heart", "calcium", "validation", "test", "inserted", "site"],
        typer.Argument(help="From the simulator, or a site's own annotated studies.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the samples (.npz).", show_default=False)],
    count: Annotated[int, typer.Option("-n", "--count", help="How many simulated patients.")] = 1,
    each: Annotated[int, typer.Option(help="Samples of each patient; 0: 6 hearts, 14 of calcium, 10 studies.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the set; patient k of a seed is always the same.")] = 0,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--centre",
            "--protocol",
            help="Scanner protocols: presets or TOML files. Default: those for training, or those for test.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    recipe: Annotated[Path | None, typer.Option(help="Whose network's pixels the samples have.")] = None,
    table: Annotated[Path | None, typer.Option(help="Of a site's studies: CSV with study, labels, split.")] = None,
    scan: Annotated[list[Path] | None, typer.Option(help="With inserted: a real calcium-free scan.")] = None,
    allow_calcium: Annotated[bool, typer.Option("--allow-calcium", help="With inserted: it may hold calcium.")] = False,
) -> None:
    """Make what networks are trained on and proven with; only what OUT does not hold yet is made."""
    from ctacal.cli import samples as command

    options = command.Options(
        what=what, out=out, count=count, each=each, seed=seed, protocols=protocol or (), workers=workers,
        recipe=recipe, table=table, scans=scan or (), allow_calcium=allow_calcium,
    )  # fmt: skip
    raise typer.Exit(command.run(options))


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="What to train, on what (TOML).", show_default=False)],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the run. [default: runs/NAME]")] = None,
) -> None:
    """Train a network by its recipe; the same command goes on with a run that was stopped."""
    from ctacal.cli import train as command

    raise typer.Exit(command.run(recipe, out))


@app.command()
def export(
    heart: Annotated[Path, typer.Option(help="Checkpoint of the heart network.", show_default=False)],
    calcium: Annotated[Path, typer.Option(help="Checkpoint of the calcium network.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the model.", show_default=False)],
    name: Annotated[str, typer.Option(help="What results call the model.")] = "ctacal-networks",
    version: Annotated[str | None, typer.Option(help="Of the model. Default: that of ctacal.")] = None,
) -> None:
    """Make a model for scoring of two checkpoints (ONNX), and measure that it says what they say."""
    from ctacal.cli import export as command

    raise typer.Exit(command.run(heart, calcium, out, name=name, version=version))


@app.command()
def calibrate(
    cohort: Annotated[
        Path, typer.Argument(help="Folder of validation studies (ctacal samples validation).", show_default=False)
    ],
    model: Annotated[Path, typer.Option(help="Model folder, as export made it.", show_default=False)],
) -> None:
    """Measure on validation studies how sure the model's scores are, and what scans it knows, into its model.json."""
    from ctacal.cli import calibrate as command

    raise typer.Exit(command.run(model, cohort))


@app.command()
def finetune(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Tables (CSV: study, labels, split), or folders of samples.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run; OUT/model.", show_default=False)],
    model: Annotated[Path | None, typer.Option(help="Model folder. Default: the one that ships with ctacal.")] = None,
    guard: Annotated[
        list[Path] | None, typer.Option(help="Simulated samples that were never trained on, scored before and after.")
    ] = None,
    no_guard: Annotated[bool, typer.Option("--no-guard", help="Do not check what is forgotten.")] = False,
    steps: Annotated[int, typer.Option(help="Of training.")] = 300,
    learning_rate: Annotated[float, typer.Option(help="Highest; training from the beginning takes 2e-3.")] = 2e-4,
    allowed_fall: Annotated[float, typer.Option(help="Of kappa on the guard; more refuses the model.")] = 0.02,
    force: Annotated[bool, typer.Option("--force", help="Write the model although it forgot.")] = False,
) -> None:
    """Go on training the calcium network with a handful of a site's own studies, guarded against forgetting."""
    from ctacal.cli import finetune as command

    options = command.Options(
        model=model, guard=guard or (), no_guard=no_guard, steps=steps, learning_rate=learning_rate,
        allowed_fall=allowed_fall, force=force,
    )  # fmt: skip
    raise typer.Exit(command.run(sources, out, options))


@app.command()
def outcomes(
    table: Annotated[Path, typer.Argument(help="One row a patient: CSV, TSV, Parquet, XLSX.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option("-c", "--config", help="What the columns mean (TOML). Default: beside TABLE, of its name."),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the report.", show_default=False)] = None,
    drop: Annotated[
        str, typer.Option(help="Leave out and count rows that are: missing, not-a-number, out-of-range, duplicated.")
    ] = "",
    example: Annotated[bool, typer.Option("--example", help="Write a simulated TABLE and its TOML.")] = False,
) -> None:
    """Prognosis: Kaplan-Meier, Cox, reclassification, calibration ..: tables, figures and a report."""
    from ctacal.cli import outcomes as command

    raise typer.Exit(command.run(table, config, out, drop=drop, example=example))


@app.command()
def paper(
    recipe: Annotated[Path, typer.Argument(help="recipes/paper.toml, or one like it.", show_default=False)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for table and reports.", show_default=False)],
) -> None:
    """Simulate a cohort from the published figures and find them again: tests the estimator, not patients."""
    from ctacal.cli import paper as command

    raise typer.Exit(command.run(recipe, out))


def main() -> None:
    """Run the program; wrong usage, and a folder that cannot be written, end in one line and exit status 2.

    Imports make some 100,000 objects, which all stay: Python's search for garbage among them is put off, and spared at
    the end, which takes a cold ``ctacal score`` 0.04 and 0.1 s.
    """
    import sys

    from ctacal.errors import UsageError

    gc.set_threshold(200_000)
    try:
        app()
    except UsageError as problem:
        sys.exit(_complain(str(problem)))
    except OSError as problem:
        sys.exit(_complain(f"{problem.filename}: {problem.strerror}; choose another folder or free the disk"))
    finally:
        gc.freeze()


def _complain(message: str) -> int:
    typer.echo(f"ctacal: {message}", err=True)
    return 2
