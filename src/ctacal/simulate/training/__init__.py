"""The cheap mode for training: an anatomy is projected once, and each crop is a new scan of it. Needs ``simulate``.

``AnatomyCache`` keeps a calcium-free body's projections, at rest and contracted, and several draws of calcium.
``draw_crop`` adds one of these, scans anew (protocol, dose, kernel, slices, heartbeat, breath, noise), and reconstructs
the crop alone: the same physics as ``scanner.scan``, so noise and streaks come out as there. ``draw_whole`` does so for
a whole scan in large voxels. ``stream_crops`` mixes anatomies.
"""
