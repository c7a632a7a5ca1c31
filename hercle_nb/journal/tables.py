"""The journal's tables.

Texts and numbers alone, so that any database keeps them alike: times are ISO 8601 in UTC, times by the hub's
clock are seconds since 1970, arguments and the hub's messages are JSON, amounts of other currencies decimal
texts. No row holds an API key. `migrate` brings the tables of version 1 here.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

VERSION = 2  # of these tables

METADATA = sa.MetaData()
_MARK = sa.String(64)
_URL = sa.String(512)


def _asked_in_fiat() -> list[sa.Column[Any]]:
    """What was asked for in another currency, and the price that made satoshis of it; null for none."""
    return [
        sa.Column("fiat_amount", _MARK),
        sa.Column("fiat_currency", _MARK),
        sa.Column("fiat_rate", _MARK),
        sa.Column("fiat_rate_at", _MARK),
    ]


JOURNAL = sa.Table(
    "hercle_journal",
    METADATA,
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("salt", _MARK, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),  # of version 1: a kernel that raises it is refused
    sa.Column("turn", sa.BigInteger, nullable=False),  # grows by one with each transaction
)
ACCOUNTS = sa.Table(
    "hercle_accounts",
    METADATA,
    sa.Column("hub_url", _URL, primary_key=True),
    sa.Column("key", _MARK, primary_key=True),  # a salted fingerprint
    sa.Column("account", _MARK, nullable=False),  # the same for keys of one account
    sa.Column("user_id", sa.Text),  # as GetBalances named it; null while it has not
    sa.Column("asked_at", _MARK, nullable=False),
)
COMMANDS = sa.Table(
    "hercle_commands",
    METADATA,
    sa.Column("intent", _MARK, primary_key=True),
    sa.Column("hub_url", _URL, nullable=False),
    sa.Column("client_id", _MARK),
    sa.Column("environment", _MARK, nullable=False),
    sa.Column("key", _MARK, nullable=False),  # a salted fingerprint
    sa.Column("method", sa.Text, nullable=False),
    sa.Column(
        "creation", sa.Boolean, nullable=False
    ),  # made by create_invoice, so that its arguments are known
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("noted_at", _MARK, nullable=False),
    sa.Column("hub_time", sa.Float(53), nullable=False),
    sa.Column("kernel", _MARK, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("process", _MARK, nullable=False),  # tells it from another of that number
    sa.Column("due", sa.Float(53), nullable=False),  # when the sender gives up, by the hub's clock
    sa.Column("waits_until", sa.Float(53), nullable=False),  # the same; 0 once nobody waits any more
    sa.Column("lost_at", sa.Float(53)),  # by the hub's clock
    sa.Column("state", _MARK, nullable=False),
    sa.Column("answered_at", _MARK),
    sa.Column("answer", sa.Text),  # the hub's message as it came
    sa.Column("refusal", sa.Text),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("batch", _MARK),  # of the batch that it is a row of
    sa.Column("row_key", sa.Text),  # its key there, or its number
    sa.Column("also", _MARK),  # the ClientId of today, where version 0.1 made another one of the same parts
    *_asked_in_fiat(),
    sa.UniqueConstraint("hub_url", "client_id"),
    sa.Index("hercle_commands_revision", "hub_url", "revision"),
    sa.Index("hercle_commands_state", "hub_url", "state"),
    sa.Index("hercle_commands_batch", "hub_url", "batch"),
)
BATCHES = sa.Table(
    "hercle_batches",
    METADATA,
    sa.Column("hub_url", _URL, primary_key=True),
    sa.Column("batch", _MARK, primary_key=True),  # the hash of its batch_id
    sa.Column("digest", _MARK, primary_key=True),  # of what its rows ask for, whatever their order
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("named", sa.Boolean, nullable=False),  # whoever made it gave it its batch_id
    sa.Column("key", _MARK, nullable=False),
    sa.Column("made_at", _MARK, nullable=False),
    sa.Column("kernel", _MARK, nullable=False),
    sa.Index("hercle_batches_digest", "hub_url", "digest"),
)
INVOICES = sa.Table(
    "hercle_invoices",
    METADATA,
    sa.Column("hub_url", _URL, primary_key=True),
    sa.Column("digest", _MARK, primary_key=True),  # of the payment request
    sa.Column("client_id", _MARK),  # of the command that made it, if that is in the journal
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("amount_msat", sa.BigInteger),
    sa.Column("memo", sa.Text),
    sa.Column("expiry_hours", sa.Integer),
    sa.Column("created_at", _MARK, nullable=False),
    sa.Column("expires_at", _MARK, nullable=False),
    sa.Column("updated_at", _MARK),
    sa.Column("payment_request", sa.Text, nullable=False),
    sa.Column("payment_hash", _MARK),
    sa.Column("preimage", sa.Text),
    sa.Column("http_status", sa.BigInteger),
    sa.Column("message", sa.Text),
    sa.Column("hub_status", sa.Text),
    sa.Column("extra", sa.Text),
    sa.Column("warnings", sa.Text),
    sa.Column("alarm", sa.Boolean, nullable=False),
    sa.Column("kernel", _MARK, nullable=False),  # that wrote it last
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("key", _MARK),  # under which it was first known; null where version 1 did not say
    sa.Column("asked_msat", sa.BigInteger),  # where it differs from amount_msat, the payment request's
    *_asked_in_fiat(),
    sa.Column("clock_ahead", sa.Float(53)),  # seconds that the hub's clock was ahead of the writer's
    sa.Column("paid_at", _MARK),  # when the payment was seen
    sa.Column("paid_at_source", _MARK),  # and how: list, seen
    sa.Index("hercle_invoices_client_id", "hub_url", "client_id"),
    sa.Index("hercle_invoices_revision", "hub_url", "revision"),
)
CHANGES = sa.Table(
    "hercle_connections",
    METADATA,
    sa.Column("kernel", _MARK, nullable=False),
    sa.Column("hub_url", _URL, nullable=False),
    sa.Column("at", _MARK, nullable=False),
    sa.Column("connection", sa.Integer, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
)
OBSERVATIONS = sa.Table(
    "hercle_observations",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("hub_url", _URL, nullable=False),
    sa.Column("at", _MARK, nullable=False),
    sa.Column("kernel", _MARK, nullable=False),
    sa.Column("kind", _MARK, nullable=False),  # answer, completion, entry (of the hub's list)
    sa.Column("intent", _MARK),  # of the command
    sa.Column("digest", _MARK),  # of the invoice
    sa.Column("raw", sa.Text, nullable=False),  # JSON
    sa.Index("hercle_observations_intent", "hub_url", "intent"),
    sa.Index("hercle_observations_digest", "hub_url", "digest"),
)
