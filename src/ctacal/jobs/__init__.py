"""Jobs: the work behind the command line, and later behind a DICOM node, a reader's page and a batch.

``score`` scores studies and writes their files; ``finders`` are its predictors, and ``resume`` decides which results
are kept. ``accuracy``, ``calibrate``, ``samples``, ``train``, ``export`` and ``finetune`` make and measure networks;
``agree``, ``cohort``, ``outcomes`` and ``paper`` evaluate tables; ``simulate`` makes studies; ``installation``
describes the installation.

A job is a frozen value and a function that returns a value. It reports progress through a function that the caller
passes, and it never prints. Import names from the modules: each imports only what its own job needs.
"""
