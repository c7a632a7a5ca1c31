"""The times without a connection, in which events may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hercle_nb.events import CONNECTION

if TYPE_CHECKING:
    import pandas as pd

    from hercle_nb._store import Row

LOST, BACK = "connection.lost", "connection.back"  # subjects of the log's rows


@dataclass
class Gap:
    """One loss; times in microseconds since 1970."""

    connection: int
    lost_us: int
    reason: str
    back_us: int | None = None
    attempts: int = 0


def gaps_frame(gaps: list[Gap]) -> pd.DataFrame:
    """The gaps as `EventLog.gaps` gives them."""
    import numpy as np
    import pandas as pd

    from hercle_nb._columns import TEXT_DTYPE

    lost = np.array([gap.lost_us for gap in gaps], dtype="int64").view("datetime64[us]")
    back = np.array([gap.back_us for gap in gaps], dtype="float64")
    return pd.DataFrame(
        {
            "connection": np.array([gap.connection for gap in gaps], dtype="int32"),
            "lost_at": pd.DatetimeIndex(lost).tz_localize("UTC"),
            "back_at": pd.to_datetime(back, unit="us", utc=True).as_unit("us"),
            "attempts": np.array([gap.attempts for gap in gaps], dtype="int32"),
            "reason": pd.array([gap.reason for gap in gaps], dtype=TEXT_DTYPE),
        }
    )


def gaps_of(rows: list[Row]) -> list[Gap]:
    """The gaps that rows tell of."""
    gaps: list[Gap] = []
    for row in rows:
        if row.kind != CONNECTION or row.content is None:
            continue
        data = row.content.data if isinstance(row.content.data, dict) else {}
        if row.content.subject == LOST:
            gaps.append(Gap(row.connection, row.received_us, str(data.get("reason"))))
        elif row.content.subject == BACK and gaps:
            gaps[-1].back_us, gaps[-1].attempts = row.received_us, int(data.get("attempts") or 0)
    return gaps
