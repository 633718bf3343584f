"""The durations and bounds that an operator sets for booking."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Units: ``_s`` seconds; ``cancel_fee_share`` 0…1 of the price.

    ``margin_s`` is how much time must be left on every hold when *confirmed* is proposed.
    ``absence_s`` is how long a trip that needs a silent operator waits for it to come back.
    ``most_undecided`` attempts of one other home may be open here, and ``most_overdue`` past their
    time-to-live, which its register cannot say anything of: nobody blocks stations without ever deciding.
    A cancellation is free until ``cancel_free_s`` before the first window.
    """

    hold_ttl_s: float = 15.0
    ask_s: float = 4.0
    margin_s: float = 1.0
    attempts: int = 8
    deadline_s: float = 25.0
    absence_s: float = 6.0
    max_ticket_age_s: float = 60.0
    no_show_grace_s: float = 900.0
    cancel_free_s: float = 3600.0
    cancel_fee_share: Decimal = Decimal("0.20")
    contest_wait_s: float = 0.1
    settle_every_s: float = 0.25
    most_window_s: int = 24 * 3600
    book_ahead_s: int = 400 * 24 * 3600
    most_undecided: int = 200_000
    most_overdue: int = 500
