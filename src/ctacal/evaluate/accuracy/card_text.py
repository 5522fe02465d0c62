"""The fixed paragraphs of the model card."""

INTENDED_USE = """## Intended use

Research only: estimating coronary artery calcium on the low-dose, non-gated CT of SPECT/CT and PET/CT (CTAC), and
comparing methods. **Not a medical device**; no figure here may guide the care of a patient. The score of a non-gated,
low-dose CT is not equal to a gated calcium score.
"""

LIMITS = """## Limits

- *Simulated* scans are computed from virtual anatomies and a physical model of the scanner. They test whether the
  network can read such scans; they are no evidence of its accuracy in patients. No cohort of patients with expert
  readings has been scored.
- Plaques inserted into real scans come with real noise, motion and anatomy, but the plaques are artificial.
- Motion and partial volume hide small plaques: even the true label map on a CTAC does not give the gated score. Its
  column in the gated table shows what perfect labelling would reach.
- The thresholds hold for 120 kVp; the rule is SCCT 2016 unless another is chosen. Stents are not counted.
- Scans with contrast agent are refused if the header says so, or if blood reads more than unenhanced blood can.
- Intervals of kappa come from resampling patients. All other intervals assume independent studies, although several
  studies share an anatomy: they are too narrow.
"""

LICENCE = """## Licence

The weights are under Apache-2.0, as is the code. Simulated training data are ctacal's own. The real scans that were
used are named above with their licences.
"""

COMMANDS = """## How this page was made

```sh
ctacal accuracy TEST --hard HARD --inserted INSERTED -o OUT --compare PUBLISHED \\
    --real recipes/real_scans.toml --scans SCANS --card docs/model-card.md
```

TEST, HARD and INSERTED are folders of `ctacal samples`, SCANS holds the real scans as DICOM. The same command goes on
after an interruption.
"""
