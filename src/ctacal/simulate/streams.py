"""``Stream``: the random number streams that one seed starts; ``generator`` starts one of them.

Each part of a simulation has its own stream, so that a change to one part leaves the others as they were.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The number that follows the seed when a generator is started.

    A number never changes: existing seeds would give other studies. A few names share a number and so draw the same
    numbers from the same seed. They are kept, again because existing seeds would give other studies; a new stream takes
    a number of its own.
    """

    SCAN_NOISE = 0
    """Quantum and electronic noise of a slice; followed by the slice's number."""
    SCAN_MOTION = 1
    """Moment at which the scan begins, and the lengths of the heartbeats."""
    DETECTOR_GAIN = 2
    """Gain errors of the detector elements."""

    PATIENT = 1
    """Sex, age and all measures of a patient but the densities."""
    DENSITIES = 2
    """HU of a patient's lung, liver, muscle and bone."""
    SUBCUTANEOUS_FAT = 2
    """Uneven thickness of the fat under the skin."""
    BREASTS = 3
    """Size and place of each breast."""
    RIBS = 4
    """Height of each rib."""
    CORONARY_ARTERIES = 5
    """Windings of the coronary arteries."""
    LYMPH_NODES = 6
    """Mediastinal lymph nodes."""
    LIVER = 7
    """Left lobe, clefts and vessels of the liver."""
    BOWEL = 8
    """Loops of small bowel, and the pancreas."""
    LUNG_TREES = 9
    """Vessels and bronchi of the lungs."""
    MUSCLES = 12
    """Muscles of the chest wall."""
    STOMACH = 13
    """Filling of the stomach."""
    COSTAL_CARTILAGE = 14
    """Calcification of a costal cartilage; followed by the rib's number and by 1 for the left side."""
    LUNG_SCARS = 15
    """Nodules and scars of the lungs."""
    RETROPERITONEUM = 16
    """Size of the kidneys."""
    COLON = 17
    """Course and content of the colon."""
    ARM_MUSCLES = 18
    """Muscles of an arm; followed by 0 (right) or 2 (left)."""
    CALCIUM = 20
    """Calcium, devices and contrast of a patient."""
    STUDY = 30
    """Heart rate, breathing, range and isocentre of a study."""
    TABLE = 31
    """Design of the patient table."""
    ON_SKIN = 32
    """Electrodes, leads and blanket."""
    FAT_PADS = 40
    """Size of the fat pads in the cardiophrenic angles."""
    FINE_TEXTURE = 300
    """Random field with steps of 3 mm."""
    COARSE_TEXTURE = 900
    """Random field with steps of 9 mm."""

    CALCIUM_VARIANTS = 40
    """Several draws of calcium in one patient, for training."""
    TRAINING_ISOCENTRE = 41
    """Where a patient who is projected for training lies in the scanner."""
    CROP = 50
    """Scanner, place and motion of a training crop."""
    WHOLE_SCAN = 51
    """Scanner, range and motion of a whole scan for training heart masks."""
    HEART_SCAN = 52
    """Scanner and motion of a training scan of the whole heart."""
    TEST_SCAN = 52
    """Scanner and motion of a test scan."""
    CROP_FOCUS = 60
    """What a crop in a stream of crops shows."""

    INSERTION_START = 41
    """Phase of the heart at which the scan of inserted calcium begins."""
    PLACING = 42
    """Other places for deposits that do not fit where they were drawn."""
    DEGRADING = 43
    """Noise that is added to a real scan; followed by the sample and the slice."""
    VARIED_PATIENT = 46
    """Build and organs of a patient who is drawn to differ from most."""

    RESCANNED_PATIENT = 47
    """Vital signs of a patient who is scanned several times."""
    RESCAN = 48
    """Position, heart rate and breath of one of several scans of a patient."""

    INSERTION_HEART_RATE = 44
    """Heart rate for inserted calcium."""


def generator(seed: int, stream: Stream, *parts: int) -> np.random.Generator:
    """Start the generator of one stream of a seed; ``parts`` number its independent parts."""
    return np.random.default_rng((seed, int(stream), *parts))
