"""Jobs: what the command line does, and what a node, a page or a batch will do, without their words.

``score`` scores studies and leaves their files; ``finders`` are the predictors that it takes, ``resume`` decides what
is kept. ``accuracy``, ``calibrate``, ``samples``, ``train``, ``export`` and ``finetune`` make and measure networks;
``agree``, ``cohort``, ``outcomes`` and ``paper`` evaluate tables; ``simulate`` makes studies; ``installation``
describes what is here.

A job is a frozen value and a function that returns a value. It reports progress to a function that it is given, and
it never prints. Import names from the modules: each imports what its own job needs, and no more.
"""
