"""A log's rows as columns that grow in place, so that a frame costs what is new and no more.

The arrays are longer than what is in them, and one DataFrame stands over all of them. A frame handed out is a
slice of it; later rows are written behind every slice, and copy-on-write keeps a reader's own writes out.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hercle_nb.events import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hercle_nb.events import Content

_TEXTS = ("target", "subject", "client_id", "channel", "topic", "type")
_ORDER = ("received_at", "kind", "connection", *_TEXTS[:3], "data", *_TEXTS[3:], "raw")
_MOST_SHARED = 10_000  # texts remembered, to be one object in all rows

# Python's own texts: Arrow's refuse half a character (a lone surrogate)
TEXT_DTYPE: pd.StringDtype[Any] = pd.StringDtype("python", na_value=np.nan)
TIME_DTYPE = pd.DatetimeTZDtype("us", "UTC")
_KIND_DTYPE = pd.CategoricalDtype(list(KINDS))
_STORED = {"received_at": "int64", "kind": "int8", "connection": "int32", "size": "int64"}


class Columns:
    """Rows ``start`` to ``end`` of a log, taken apart.

    Attributes:
        start: The seq of the first row.
        end: The seq after the last one.
    """

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._shared: dict[Any, Any] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._frame: pd.DataFrame | None = None
        self._allocate(0)
        self._in_place = self._shows_what_is_written()

    def __len__(self) -> int:
        return self.end - self.start

    def append(
        self,
        times: Sequence[int],
        kind: int,
        connection: int,
        raws: Sequence[str | None],
        sizes: Sequence[int],
        contents: Sequence[Content],
    ) -> None:
        """Append rows of one kind and connection; an interrupt at any moment appends none of them."""
        count = len(raws)
        if self._place(self.end) + count > len(self._arrays["raw"]):
            self._allocate(count)
        rows = slice(self._place(self.end), self._place(self.end) + count)
        arrays = self._arrays
        arrays["received_at"][rows] = times
        arrays["kind"][rows] = kind
        arrays["connection"][rows] = connection
        arrays["size"][rows] = sizes
        arrays["raw"][rows] = [np.nan if raw is None else raw for raw in raws]
        arrays["data"][rows] = np.fromiter(map(attrgetter("data"), contents), object, count)
        if len(self._shared) > _MOST_SHARED:
            self._shared = {}
        one = self._shared.setdefault
        self._shared[None] = np.nan
        for name in _TEXTS:
            texts = list(map(attrgetter(name), contents))
            same = count and texts.count(texts[0]) == count  # as in a feed
            arrays[name][rows] = one(texts[0], texts[0]) if same else list(map(one, texts, texts))
        self.end += count

    def drop(self, until: int) -> None:
        """Forget the rows before that seq; their memory goes with the last frame that shows them."""
        if until > self.start:
            self.start = until
            self.end = max(until, self.end)
            self._allocate(0)

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame that nothing later changes."""
        if self._frame is None or not self._in_place:
            self._frame = self._view()
        return self._frame.iloc[self._place(self.start) : self._place(self.end)].copy(deep=False)

    def stored(self, start: int, stop: int) -> list[tuple[int, int, int, str | None]]:
        """Time in microseconds, number of the kind, connection and raw text of rows, by seq."""
        rows = slice(self._place(start), self._place(min(stop, self.end)))
        times, kinds, connections, raws = (
            self._arrays[name][rows].tolist() for name in ("received_at", "kind", "connection", "raw")
        )
        return [
            (*row, None if raw is np.nan else raw)
            for *row, raw in zip(times, kinds, connections, raws, strict=True)
        ]

    def sizes(self) -> list[int]:
        """The length of each row's raw message."""
        sizes: list[int] = self._arrays["size"][self._place(self.start) : self._place(self.end)].tolist()
        return sizes

    def _place(self, seq: int) -> int:
        return seq - self._origin

    def _allocate(self, more: int) -> None:
        """Move to new arrays, with room for so many more rows and an eighth of all beyond."""
        kept = len(self)
        room = (kept + more) * 9 // 8 + 1_024
        arrays: dict[str, NDArray[Any]] = {name: np.zeros(room, dtype) for name, dtype in _STORED.items()}
        arrays |= {name: np.full(room, np.nan, object) for name in (*_TEXTS, "data", "raw")}
        if kept:
            old = slice(self._place(self.start), self._place(self.end))
            for name, array in arrays.items():
                array[:kept] = self._arrays[name][old]
        self._arrays, self._origin = arrays, self.start
        self._frame = None

    def _shows_what_is_written(self) -> bool:
        """Whether a DataFrame shows what is written to the arrays later; a pandas to come may copy them."""
        frame = self._view()
        probe = {name: 1 if name in _STORED else "probe" for name in _ORDER}
        for name, value in probe.items():
            self._arrays[name][0] = value
        time, kind, *rest = frame.iloc[0]
        for name in _ORDER:
            self._arrays[name][0] = 0 if name in _STORED else np.nan
        shown = (time - pd.Timestamp(0, tz="UTC")) // pd.Timedelta("1us"), KINDS.index(kind), *rest
        return list(shown) == list(probe.values())

    def _view(self) -> pd.DataFrame:
        """A DataFrame over the arrays themselves, through which nothing can be written to them."""
        seq = pd.RangeIndex(self._origin, self._origin + len(self._arrays["raw"]), name="seq")
        columns: dict[str, Any] = {}
        for name in _ORDER:
            array = self._arrays[name].view()
            array.flags.writeable = False
            if name == "received_at":
                columns[name] = pd.array(array, dtype=TIME_DTYPE, copy=False)
            elif name == "kind":
                columns[name] = pd.Categorical.from_codes(array, dtype=_KIND_DTYPE, validate=False)
            elif name == "data":
                columns[name] = pd.Series(array, index=seq, dtype=object, copy=False)
            elif name == "connection":
                columns[name] = array
            else:
                columns[name] = pd.arrays.StringArray(array, dtype=TEXT_DTYPE)  # type: ignore[call-arg]  # not in the stubs
        return pd.DataFrame(columns, index=seq, copy=False)
