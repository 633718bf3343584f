-- Who lived where, and when: nobody sees the usage or the bills of those before or after them.

CREATE TABLE occupancy (
    usage_point_id text        NOT NULL CONSTRAINT occupancy_usage_point_fkey REFERENCES usage_point (id),
    point_key      bigint      GENERATED ALWAYS AS (hashtextextended(usage_point_id, 0)) STORED,
    customer_id    text        NOT NULL CONSTRAINT occupancy_customer_fkey REFERENCES customer (id),
    from_at        timestamptz NOT NULL,
    until_at       timestamptz,
    CONSTRAINT occupancy_pkey PRIMARY KEY (usage_point_id, from_at),
    CONSTRAINT occupancy_ends_later CHECK (until_at > from_at),
    CONSTRAINT occupancy_one_at_a_time EXCLUDE USING gist (
        int8range(point_key, point_key, '[]') WITH &&,
        tstzrange(from_at, until_at) WITH &&
    )
);

CREATE INDEX occupancy_customer_idx ON occupancy (customer_id);

-- usage_point.customer_id is who is there now; it follows the occupancy, and nobody else writes it.
CREATE FUNCTION occupancy_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place text := coalesce(NEW.usage_point_id, OLD.usage_point_id);
BEGIN
    UPDATE usage_point SET customer_id = (
        SELECT customer_id FROM occupancy WHERE usage_point_id = place AND until_at IS NULL
        ORDER BY from_at DESC LIMIT 1
    ) WHERE id = place;
    RETURN NULL;
END $$;

CREATE TRIGGER occupancy_moves AFTER INSERT OR UPDATE OR DELETE ON occupancy
    FOR EACH ROW EXECUTE FUNCTION occupancy_moves();

-- A meter counts in one place at a time, and one meter counts in a place: usage is billed once.
ALTER TABLE fitting ADD COLUMN point_key bigint GENERATED ALWAYS AS (hashtextextended(usage_point_id, 0)) STORED;
ALTER TABLE fitting ADD CONSTRAINT fitting_meter_at_once EXCLUDE USING gist (
    int4range(meter, meter, '[]') WITH &&, tstzrange(from_at, until_at) WITH &&
);
ALTER TABLE fitting ADD CONSTRAINT fitting_place_at_once EXCLUDE USING gist (
    int8range(point_key, point_key, '[]') WITH &&, tstzrange(from_at, until_at) WITH &&
);

-- Values that a person read at a swap and that are not among the readings yet.
ALTER TABLE fitting ADD COLUMN readings_due boolean NOT NULL DEFAULT false;
CREATE INDEX fitting_readings_due_idx ON fitting (meter) WHERE readings_due;

-- The code a meter was claimed with: whoever shows it again is told that it was used, anybody else nothing.
ALTER TABLE meter ADD COLUMN spent_code_sha256 bytea;

-- Wrong codes lately, by account.
CREATE TABLE claim_try (
    account_id text        NOT NULL CONSTRAINT claim_try_pkey PRIMARY KEY,
    tries      integer     NOT NULL,
    since      timestamptz NOT NULL
);

-- From July 2026 a CNPJ may hold letters, its two check digits excepted (IN RFB 2.229/2024).
ALTER TABLE customer DROP CONSTRAINT customer_tax_id_digits;
ALTER TABLE customer ADD CONSTRAINT customer_tax_id_plain CHECK (tax_id ~ '^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})$');
ALTER TABLE customer ADD CONSTRAINT customer_erased_has_no_name CHECK (erased_at IS NULL OR name = '—');
CREATE INDEX customer_tax_id_idx ON customer (tax_id) WHERE tax_id IS NOT NULL;
