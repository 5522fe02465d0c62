"""Fast simulation for training: an anatomy is projected once, and each crop is a new scan of it. Needs ``simulate``.

``AnatomyCache`` keeps the projections of a body without calcium, at rest and contracted, and several draws of calcium.
``draw_crop`` adds one draw, simulates a new scan (protocol, dose, kernel, slices, heartbeat, breath, noise), and
reconstructs only the crop. The physics is that of ``scanner.scan``, so noise and streaks are the same. ``draw_whole``
does the same for a whole scan in large voxels. ``stream_crops`` mixes anatomies.
"""
