"""The ledger's tables in SQLite and PostgreSQL, and their version."""

from ctacal.errors import UsageError
from ctacal.jobs.database import Transaction

SCHEMA = 3
"""Version of the tables. A newer one is refused: an older program would damage what it does not know."""

_CREATING = 0x63746163
"""Key of PostgreSQL's advisory lock under which tables are made: two nodes may start at once."""

_FACTS = "CREATE TABLE IF NOT EXISTS node_facts (name {text} PRIMARY KEY, value {text} NOT NULL)"

_STUDIES = """
CREATE TABLE node_studies (
    number {number}, store_id {text} NOT NULL, study_uid {text} NOT NULL,
    state {text} NOT NULL DEFAULT 'RECEIVING', revision INTEGER NOT NULL DEFAULT 1,
    activity BIGINT NOT NULL DEFAULT 0, objects BIGINT NOT NULL DEFAULT 0, sources {text} NOT NULL DEFAULT '[]',
    asked_now INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    claim {text} NOT NULL DEFAULT '', claimed_by {text} NOT NULL DEFAULT '', beat BIGINT NOT NULL DEFAULT 0,
    reason_code {text} NOT NULL DEFAULT '', reason {text} NOT NULL DEFAULT '',
    category {text} NOT NULL DEFAULT '', agatston DOUBLE PRECISION,
    result {text} NOT NULL DEFAULT '', facts {text} NOT NULL DEFAULT '{{}}',
    first_at {text} NOT NULL, last_at {text} NOT NULL,
    settled_at {text} NOT NULL DEFAULT '', scored_at {text} NOT NULL DEFAULT '',
    earlier_report {text} NOT NULL DEFAULT '', deleted BIGINT NOT NULL DEFAULT 0, UNIQUE (store_id, study_uid)
)
"""
_DELIVERIES = """
CREATE TABLE node_deliveries (
    id {number}, store_id {text} NOT NULL, study_uid {text} NOT NULL, study_number BIGINT NOT NULL,
    revision INTEGER NOT NULL, destination {text} NOT NULL, kind {text} NOT NULL, path {text} NOT NULL,
    sop_class_uid {text} NOT NULL, sop_instance_uid {text} NOT NULL,
    state {text} NOT NULL DEFAULT 'WAITING', attempts INTEGER NOT NULL DEFAULT 0,
    due_at DOUBLE PRECISION NOT NULL DEFAULT 0, due_in_s DOUBLE PRECISION NOT NULL DEFAULT 0,
    claim {text} NOT NULL DEFAULT '', claimed_by {text} NOT NULL DEFAULT '', beat BIGINT NOT NULL DEFAULT 0,
    reason {text} NOT NULL DEFAULT '', transaction_uid {text} NOT NULL DEFAULT '',
    created_at {text} NOT NULL, done_at {text} NOT NULL DEFAULT '', sent_at {text} NOT NULL DEFAULT '',
    UNIQUE (store_id, destination, sop_instance_uid)
)
"""
_AUDIT = """
CREATE TABLE node_audit (
    store_id {text} NOT NULL, number BIGINT NOT NULL, study_uid {text} NOT NULL, line {text} NOT NULL,
    PRIMARY KEY (store_id, number)
)
"""
_LATER = {
    2: "ALTER TABLE node_deliveries ADD COLUMN sent_at {text} NOT NULL DEFAULT ''",
    3: "ALTER TABLE node_studies ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0",
}
"""What makes tables of the version before those of each version."""
_CREATE = (
    _STUDIES,
    _DELIVERIES,
    _AUDIT,
    "CREATE INDEX node_studies_by_state ON node_studies (store_id, state, number)",
    "CREATE INDEX node_studies_in_order ON node_studies (store_id, number)",
    "CREATE INDEX node_studies_to_score ON node_studies (store_id, number) WHERE state = 'SETTLED' AND claim = ''",
    "CREATE INDEX node_studies_claimed ON node_studies (store_id, claim) WHERE claim > ''",
    "CREATE INDEX node_studies_scored ON node_studies (store_id, scored_at)",
    "CREATE INDEX node_studies_by_arrival ON node_studies (store_id, last_at)",
    "CREATE INDEX node_studies_kept ON node_studies (store_id, last_at) WHERE objects > 0",
    "CREATE INDEX node_deliveries_to_send ON node_deliveries (store_id, destination, study_number, id) "
    "WHERE state = 'WAITING' AND claim = ''",
    "CREATE INDEX node_deliveries_claimed ON node_deliveries (store_id, claim) WHERE claim > ''",
    "CREATE INDEX node_deliveries_of_study ON node_deliveries (store_id, study_uid)",
    "CREATE INDEX node_deliveries_by_state ON node_deliveries (store_id, state, destination, study_number, id)",
    "CREATE INDEX node_deliveries_sent ON node_deliveries (store_id, transaction_uid) WHERE state = 'SENT'",
    "CREATE INDEX node_deliveries_done ON node_deliveries (store_id, done_at)",
    "CREATE INDEX node_audit_of_study ON node_audit (store_id, study_uid, number)",
)


def make_tables(rows: Transaction) -> None:
    """Make the tables if they are not there. Raises ``UsageError`` if a newer version of the program made them."""
    if rows.postgres:
        rows.run("SELECT pg_advisory_xact_lock(?)", _CREATING)
    text = 'TEXT COLLATE "C"' if rows.postgres else "TEXT"  # times are compared as text
    rows.run(_FACTS.format(text=text))
    found = rows.one("SELECT value FROM node_facts WHERE name = 'schema'")
    if found is None:
        number = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY" if rows.postgres else "INTEGER PRIMARY KEY"
        for statement in _CREATE:
            rows.run(statement.format(number=number, text=text))
        rows.run("INSERT INTO node_facts VALUES ('schema', ?)", str(SCHEMA))
    elif int(found[0]) > SCHEMA:
        message = f"the ledger has tables of version {found[0]}, this program knows version {SCHEMA}; update ctacal"
        raise UsageError(message)
    else:
        for version in range(int(found[0]) + 1, SCHEMA + 1):
            rows.run(_LATER[version].format(text=text))
            rows.run("UPDATE node_facts SET value = ? WHERE name = 'schema'", str(version))
