-- Meters, where they hang and whose they are, and every register value they ever told.

CREATE TABLE customer (
    id         text        NOT NULL CONSTRAINT customer_pkey PRIMARY KEY,
    account_id text        CONSTRAINT customer_account_once UNIQUE,  -- of whoever may log in as this customer
    name       text        NOT NULL,
    tax_id     text,       -- CPF or CNPJ, digits only
    email      text,
    address    text        NOT NULL DEFAULT '',
    language   text        NOT NULL CONSTRAINT customer_language_known CHECK (language IN ('en', 'pt-BR')),
    created_at timestamptz NOT NULL,
    erased_at  timestamptz,  -- erased on request: what the law lets us keep says nothing of a person
    CONSTRAINT customer_tax_id_digits CHECK (tax_id ~ '^([0-9]{11}|[0-9]{14})$'),
    CONSTRAINT customer_erased_is_nobody CHECK (
        erased_at IS NULL OR (account_id IS NULL AND tax_id IS NULL AND email IS NULL AND address = '')
    )
);

-- Where electricity is delivered and billed (IEC 61968: UsagePoint; in Brazil, unidade consumidora).
CREATE TABLE usage_point (
    id          text        NOT NULL CONSTRAINT usage_point_pkey PRIMARY KEY,
    area        text        NOT NULL DEFAULT '',  -- the neighbourhood
    customer_id text        CONSTRAINT usage_point_customer_fkey REFERENCES customer (id),
    created_at  timestamptz NOT NULL,
    CONSTRAINT usage_point_id_plain CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$')
);

CREATE INDEX usage_point_customer_idx ON usage_point (customer_id);
CREATE INDEX usage_point_area_idx ON usage_point (area);

-- Meters, and concentrators that speak for many. Never deleted: readings point at them by their key.
CREATE TABLE meter (
    key               integer     GENERATED ALWAYS AS IDENTITY CONSTRAINT meter_pkey PRIMARY KEY,
    id                text        NOT NULL CONSTRAINT meter_id_once UNIQUE,
    kind              text        NOT NULL DEFAULT 'meter',
    state             text        NOT NULL DEFAULT 'in_service',
    via               integer     CONSTRAINT meter_via_fkey REFERENCES meter (key),  -- the concentrator that may speak for it
    rolls_over_at_wh  bigint,      -- the register starts again from 0 here
    max_power_w       integer     NOT NULL DEFAULT 75000,  -- what its fuse lets through
    interval_s        integer     NOT NULL DEFAULT 900,    -- how often it is expected to be heard
    secret_epoch      integer     NOT NULL DEFAULT 0,      -- counts how often its key was made anew
    claim_code_sha256 bytea,       -- of the code printed on it; null once claimed, or when it has none
    registered_at     timestamptz NOT NULL,
    changed_in        xid8        NOT NULL DEFAULT pg_current_xact_id(),  -- for those who keep a copy in memory
    CONSTRAINT meter_id_plain CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT meter_kind_known CHECK (kind IN ('meter', 'concentrator')),
    CONSTRAINT meter_state_known CHECK (state IN ('in_service', 'blocked', 'removed')),
    CONSTRAINT meter_rolls_over_above_nothing CHECK (rolls_over_at_wh > 0),
    CONSTRAINT meter_max_power_above_nothing CHECK (max_power_w > 0),
    CONSTRAINT meter_interval_above_nothing CHECK (interval_s > 0),
    CONSTRAINT meter_via_another CHECK (via <> key)
);

CREATE INDEX meter_changed_idx ON meter (changed_in);
CREATE INDEX meter_via_idx ON meter (via) WHERE via IS NOT NULL;

CREATE FUNCTION meter_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END $$;

CREATE TRIGGER meter_changed BEFORE UPDATE ON meter FOR EACH ROW EXECUTE FUNCTION meter_changed();

-- Which meter counted for which usage point, from when until when. A swap ends one row and begins another.
CREATE TABLE fitting (
    usage_point_id text        NOT NULL CONSTRAINT fitting_usage_point_fkey REFERENCES usage_point (id),
    meter          integer     NOT NULL CONSTRAINT fitting_meter_fkey REFERENCES meter (key),
    from_at        timestamptz NOT NULL,
    until_at       timestamptz,
    start_wh       bigint      NOT NULL,  -- what the register showed when it was put in
    end_wh         bigint,                -- and when it was taken out
    CONSTRAINT fitting_pkey PRIMARY KEY (usage_point_id, from_at),
    CONSTRAINT fitting_ends_later CHECK (until_at > from_at),
    CONSTRAINT fitting_ends_with_register CHECK ((until_at IS NULL) = (end_wh IS NULL)),
    CONSTRAINT fitting_registers_sane CHECK (start_wh >= 0 AND end_wh >= 0)
);

CREATE UNIQUE INDEX fitting_one_place_a_meter ON fitting (meter) WHERE until_at IS NULL;
CREATE UNIQUE INDEX fitting_one_meter_a_place ON fitting (usage_point_id) WHERE until_at IS NULL;
CREATE INDEX fitting_meter_idx ON fitting (meter, from_at);

-- Cumulative registers, by meter and time. The key begins with the meter, so that a distributed PostgreSQL can
-- spread the table by it; partitions go by time, so that old readings leave by dropping a table.
-- No foreign key to meter: it would cost a look for each of 100,000 readings a second, and meters never go.
-- Columns go from wide to narrow: no octet is lost to alignment.
CREATE TABLE reading (
    at        timestamptz NOT NULL,
    energy_wh bigint      NOT NULL,
    sent_kwh  double precision,        -- the very number, of meters that tell kWh finer than a Wh
    meter     integer     NOT NULL,
    power_w   integer,                 -- at that moment, of meters that tell it
    source    smallint    NOT NULL,    -- metering/reading.py: Source
    estimated boolean     NOT NULL,    -- by whoever sent it; never by us
    CONSTRAINT reading_once PRIMARY KEY (meter, at),
    CONSTRAINT reading_register_not_negative CHECK (energy_wh >= 0)
) PARTITION BY RANGE (at);

-- Another value for a moment that has one already: both are kept, the first one counts until somebody decides.
CREATE TABLE reading_conflict (
    at         timestamptz NOT NULL,
    energy_wh  bigint      NOT NULL,
    sent_kwh   double precision,
    meter      integer     NOT NULL,
    source     smallint    NOT NULL,
    arrived_at timestamptz NOT NULL,
    CONSTRAINT reading_conflict_once PRIMARY KEY (meter, at, energy_wh)
);

-- What was committed and is not in the usage yet: one row a batch, written in the batch's own transaction.
CREATE TABLE arrival (
    id         bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT arrival_pkey PRIMARY KEY,
    spans      bytea       NOT NULL,  -- metering/arrival.py: meter, first and last moment
    readings   integer     NOT NULL,
    arrived_at timestamptz NOT NULL
);

ALTER TABLE arrival ALTER COLUMN spans SET STORAGE EXTERNAL;
