-- What registers add up to. Everything here but `verdict` follows from readings and can be worked out again.
--
-- Beyond one machine: usage_day, meter_latest, mark and verdict are spread by meter, beside reading. area,
-- area_hour, arrival and reading_kept stay on one node: few rows, or such as leave within a second.

-- Names of neighbourhoods, by a short key.
CREATE TABLE area (
    key  integer GENERATED ALWAYS AS IDENTITY CONSTRAINT area_pkey PRIMARY KEY,
    name text    NOT NULL CONSTRAINT area_name_once UNIQUE
);

INSERT INTO area (name) VALUES ('');  -- of meters that hang nowhere in particular

-- One meter's usage on one day of the utility's zone, hour by hour from midnight on. -1 is an hour nothing is
-- known of, or that the day does not have: days have 23 to 25 hours.
-- No foreign keys: it would cost two looks for every row of an import, and neither meters nor areas ever go.
CREATE TABLE usage_day (
    day          date      NOT NULL,
    meter        integer   NOT NULL,
    area         integer   NOT NULL,  -- where that day counts: area_hour is the sum of these rows
    hour_wh      integer[] NOT NULL,
    estimated_wh integer[],           -- how much of it lies on a line through a gap, or beside an estimate
    CONSTRAINT usage_day_pkey PRIMARY KEY (meter, day),
    CONSTRAINT usage_day_25_hours CHECK (cardinality(hour_wh) = 25),
    CONSTRAINT usage_day_25_estimated CHECK (cardinality(estimated_wh) = 25)
) WITH (fillfactor = 60);  -- room beside the row: a day's row is written again all day long

-- What an area used, and how many meters that is known of.
CREATE TABLE area_hour (
    day          date      NOT NULL,
    area         integer   NOT NULL CONSTRAINT area_hour_area_fkey REFERENCES area (key),
    hour_wh      bigint[]  NOT NULL,
    estimated_wh bigint[]  NOT NULL,
    meters       integer[] NOT NULL,
    CONSTRAINT area_hour_pkey PRIMARY KEY (area, day),
    CONSTRAINT area_hour_25_hours CHECK (
        cardinality(hour_wh) = 25 AND cardinality(estimated_wh) = 25 AND cardinality(meters) = 25
    ),
    CONSTRAINT area_hour_nothing_negative CHECK (0 <= ALL (hour_wh) AND 0 <= ALL (estimated_wh) AND 0 <= ALL (meters))
) WITH (fillfactor = 50);

CREATE INDEX area_hour_day_idx ON area_hour (day);

-- The last reading that counts, one row a meter: consumption now.
CREATE TABLE meter_latest (
    at         timestamptz NOT NULL,
    first_at   timestamptz NOT NULL,  -- no reading is older than this
    energy_wh  bigint      NOT NULL,  -- what the register showed
    meter      integer     NOT NULL CONSTRAINT meter_latest_pkey PRIMARY KEY,
    area       integer     NOT NULL,
    power_w    integer,               -- told, else the mean since the reading before; null where neither is known
    power_told boolean     NOT NULL
) WITH (fillfactor = 50);

-- What a person decided about one reading. Never changed: a new decision supersedes the one before.
CREATE TABLE verdict (
    id         bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT verdict_pkey PRIMARY KEY,
    meter      integer     NOT NULL,
    at         timestamptz NOT NULL,
    verdict    text        NOT NULL,
    account_id text        NOT NULL,
    note       text        NOT NULL,
    decided_at timestamptz NOT NULL,
    superseded boolean     NOT NULL DEFAULT false,
    CONSTRAINT verdict_known CHECK (verdict IN ('accept', 'exclude'))
);

CREATE UNIQUE INDEX verdict_one_stands ON verdict (meter, at) WHERE NOT superseded;

-- What is doubtful about the way from one reading to the next, by the later one's moment.
CREATE TABLE mark (
    at         timestamptz NOT NULL,
    starts_at  timestamptz NOT NULL,  -- of the reading before
    noticed_at timestamptz NOT NULL,
    cleared_at timestamptz,           -- later readings made it go away
    energy_wh  bigint      NOT NULL,  -- the difference in question
    meter      integer     NOT NULL,
    kind       text        NOT NULL,
    verdict    text,                  -- the one that stands, from the table verdict
    CONSTRAINT mark_pkey PRIMARY KEY (meter, at, kind),
    CONSTRAINT mark_kind_known CHECK (kind IN ('backwards', 'roll_over', 'jump', 'gap', 'conflict')),
    CONSTRAINT mark_verdict_known CHECK (verdict IN ('accept', 'exclude')),
    CONSTRAINT mark_starts_before CHECK (starts_at <= at)
);

CREATE INDEX mark_waiting_idx ON mark (at)
    WHERE cleared_at IS NULL AND verdict IS NULL AND kind IN ('backwards', 'jump', 'conflict');

-- Since when readings are there: older ones were dropped by rule, and only what they add up to stayed.
CREATE TABLE reading_kept (
    one_row boolean     NOT NULL DEFAULT true CONSTRAINT reading_kept_pkey PRIMARY KEY,
    from_at timestamptz NOT NULL,
    CONSTRAINT reading_kept_one_row CHECK (one_row)
);
