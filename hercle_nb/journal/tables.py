"""The journal's tables.

Texts and integers alone, so that any database keeps them alike: times are ISO 8601 in UTC, times by the hub's
clock are seconds since 1970, arguments and the hub's messages are JSON. No row holds an API key.
"""

from __future__ import annotations

import sqlalchemy as sa

VERSION = 1  # of these tables

METADATA = sa.MetaData()
_MARK = sa.String(64)
_URL = sa.String(512)

JOURNAL = sa.Table(
    "hercle_journal",
    METADATA,
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("salt", _MARK, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),  # grows by one with each transaction
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
    sa.UniqueConstraint("hub_url", "client_id"),
    sa.Index("hercle_commands_revision", "hub_url", "revision"),
    sa.Index("hercle_commands_state", "hub_url", "state"),
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
