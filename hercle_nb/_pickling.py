"""What cannot leave its process says so, and what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

if TYPE_CHECKING:
    from typing import SupportsIndex


class StaysHere:
    """Refuses ``pickle`` and ``copy``, for what has a connection, a thread, a widget or a key.

    A ``TypeError``, as Python's own for a lock or a socket: pools hand it to whoever sent the object.

    Attributes:
        _instead: What to do instead, as the end of a sentence.
    """

    __slots__ = ()

    _instead: ClassVar[str]

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"{name} cannot be pickled or copied, since it lives in this process; {self._instead}."
        )

    def __copy__(self) -> NoReturn:  # a widget has these two as well
        self.__reduce_ex__(0)

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        self.__reduce_ex__(0)
