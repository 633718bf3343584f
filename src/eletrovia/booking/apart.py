"""What the database refuses is told to whoever asked for it, and to nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import psycopg

from eletrovia.base.errors import EletroviaError, Invalid, Unavailable
from eletrovia.base.lane import Flush
from eletrovia.store.pool import Connection, Store

Item = TypeVar("Item")
Result = TypeVar("Result")


@asynccontextmanager
async def connected(store: Store) -> AsyncIterator[Connection]:
    """A connection whose failures are errors that callers know.

    Raises: Unavailable("store.failed") for what may pass another time; Invalid("store.refused").
    """
    try:
        async with store.connection() as connection:
            yield connection
    except psycopg.Error as failure:
        raise told(failure) from failure


def told(failure: psycopg.Error) -> EletroviaError:
    """``failure`` in our own words: the values were wrong, or the server could not do it now."""
    wrong = isinstance(failure, psycopg.DataError | psycopg.IntegrityError)
    kind, code = (Invalid, "store.refused") if wrong else (Unavailable, "store.failed")
    return kind(code, reason=str(failure).split("\n", 1)[0], sqlstate=failure.sqlstate)


def apart(
    flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result | EletroviaError]]],
) -> Flush[Item, Result]:
    """A flush in which one item that the database cannot keep spoils nobody else's.

    Shape: ``flush`` may be repeated with any part of the same items.
    """

    async def carry(items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            return await flush(items)
        except Invalid as refused:
            if len(items) == 1:
                return [refused]
        answers: list[Result | Exception] = []
        for item in items:
            try:
                answers += await flush([item])
            except EletroviaError as error:
                answers.append(error)
        return answers

    return carry
