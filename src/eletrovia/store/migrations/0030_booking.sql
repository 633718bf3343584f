-- Booking. The home's half first: trips, what each attempt is going to ask, what was decided, and
-- who must still be told.

create table trip (
    id text primary key,
    driver_id text not null,
    idempotency_key text not null,
    body_digest text not null,
    ask jsonb not null,
    state text not null default 'pending'
        constraint trip_state_known check (state in ('pending', 'confirmed', 'failed', 'cancelled')),
    attempt integer not null default 1 constraint trip_attempt_positive check (attempt > 0),
    asked_at timestamptz not null,
    setback jsonb,
    alternatives jsonb,
    cancelled_at timestamptz,
    cancellation_fee numeric(12, 2),
    constraint trip_asked_once unique (driver_id, idempotency_key),
    constraint trip_failed_says_why check ((state = 'failed') = (setback is not null)),
    constraint trip_cancelled_has_fee check ((state = 'cancelled') = (cancellation_fee is not null))
);

create index trip_by_driver on trip (driver_id, id desc);
create index trip_pending on trip (id) where state = 'pending';

create table intent (
    trip_id text not null references trip,
    attempt integer not null,
    operators text[] not null,
    document jsonb not null,
    primary key (trip_id, attempt)
);

comment on table intent is 'What an attempt is going to ask, written before the first word goes out.';

create table decision (
    trip_id text not null,
    attempt integer not null,
    verdict text not null constraint decision_verdict_known check (verdict in ('confirmed', 'released')),
    by_operator text not null,
    decided_at timestamptz not null,
    constraint decision_once primary key (trip_id, attempt)
);

create unique index decision_one_confirmed_attempt on decision (trip_id) where verdict = 'confirmed';

comment on table decision is 'Insert only: the first writer wins, every later one reads what stands.';

create table refusal (
    trip_id text not null references trip,
    attempt integer not null,
    stop integer not null,
    document jsonb not null,
    primary key (trip_id, attempt, stop)
);

comment on table refusal is 'Why an attempt failed: who stood in the way of which stop, and how.';

create table outbox (
    operator_id text not null,
    kind text not null constraint outbox_kind_known check (kind in ('decision', 'cancellation')),
    trip_id text not null,
    attempt integer not null,
    primary key (operator_id, kind, trip_id, attempt)
);

-- The EVSE owner's half: holds and charges. A released row without an EVSE is a tombstone.

create table hold (
    home text not null,
    trip_id text not null,
    attempt integer not null,
    stop integer not null,
    state text not null constraint hold_state_known check (state in ('held', 'confirmed', 'released')),
    evse_uid text,
    -- Shifted right so that the range's upper bound cannot overflow; two EVSEs that fell on one key would
    -- refuse each other's windows, never share one.
    evse_key bigint generated always as (hashtextextended(evse_uid, 0) >> 1) stored,
    during tstzrange,
    ticket_asked_at timestamptz,
    ttl_s double precision,
    energy_wh integer,
    charging_s integer,
    price numeric(12, 2),
    driver_ref text not null default '',
    taken_at timestamptz not null,
    decided_at timestamptz,
    arrived_at timestamptz,
    ended_by text constraint hold_end_known check (ended_by in ('cancelled', 'no_show')),
    ended_at timestamptz,
    constraint hold_once primary key (home, trip_id, attempt, stop),
    constraint hold_tombstone_is_released check (evse_uid is not null or state = 'released'),
    constraint hold_only_confirmed_ends check (ended_by is null or state = 'confirmed'),
    constraint hold_no_overlap exclude using gist (
        int8range(evse_key, evse_key, '[]') with &&,
        during with &&
    ) where (state <> 'released' and ended_by is null)
);

create index hold_undecided on hold (trip_id) where state = 'held';
create index hold_no_show on hold (lower(during))
    where state = 'confirmed' and arrived_at is null and ended_by is null;

create table charge (
    home text not null,
    trip_id text not null,
    attempt integer not null,
    stop integer not null,
    amount numeric(12, 2) not null constraint charge_not_negative check (amount >= 0),
    energy_wh integer not null,
    charged_at timestamptz not null,
    constraint charge_once primary key (home, trip_id, attempt, stop)
);

comment on table charge is 'What a confirmed stop costs: one row per trip, attempt and stop.';
