"""A cohort of up to a million studies: plan, shards, and a ledger that is the outcomes themselves.

``plan`` turns folders, lists and addresses into rows, hashed into shards; ``run`` gives the rows of its shards to
watched processes, and ``outcomes`` writes down what came of each, create-only; ``status`` and ``collect`` read the run
from anywhere. A run lies in a *place*: a folder, which may be shared by machines, or a bucket. It needs no database and
no locks. ``docs/batch.md`` describes it.
"""
