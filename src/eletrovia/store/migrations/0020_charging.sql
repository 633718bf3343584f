-- Charging sites, their EVSEs and tariffs: our own and what partners told us of theirs.

CREATE TABLE location (
    operator_id  text        NOT NULL,
    id           text        NOT NULL,
    own          boolean     NOT NULL,
    document     jsonb       NOT NULL,  -- the Location as its source told it; live status stands in evse
    last_updated timestamptz NOT NULL,
    CONSTRAINT location_pk PRIMARY KEY (operator_id, id),
    CONSTRAINT location_operator_id_shape CHECK (operator_id ~ '^[A-Z]{2}[*][A-Z0-9]{3}$'),
    CONSTRAINT location_id_plain CHECK (id ~ '^[A-Za-z0-9_-]{1,36}$'),
    CONSTRAINT location_document_is_its_own CHECK (
        document ->> 'id' = id
        AND (document ->> 'country_code') || '*' || (document ->> 'party_id') = operator_id
    )
);

-- Rows are never deleted: a hold may point at one. What is gone has the status REMOVED.
CREATE TABLE evse (
    evse_key    int  GENERATED ALWAYS AS IDENTITY,  -- small, for the exclusion constraint of the holds
    operator_id text NOT NULL,
    uid         text NOT NULL,
    location_id text NOT NULL,
    evse_id     text NOT NULL,
    status      text NOT NULL,
    CONSTRAINT evse_pk PRIMARY KEY (evse_key),
    CONSTRAINT evse_uid_once UNIQUE (operator_id, uid),
    CONSTRAINT evse_uid_plain CHECK (uid ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT evse_status_known CHECK (status IN (
        'AVAILABLE', 'BLOCKED', 'CHARGING', 'INOPERATIVE', 'OUTOFORDER', 'PLANNED', 'REMOVED', 'RESERVED', 'UNKNOWN'
    )),
    CONSTRAINT evse_at_location FOREIGN KEY (operator_id, location_id) REFERENCES location (operator_id, id)
);

CREATE INDEX evse_by_location ON evse (operator_id, location_id);

-- Two places to charge never share a printed id; one that is gone may pass its id on.
CREATE UNIQUE INDEX evse_id_once ON evse (operator_id, evse_id) WHERE status <> 'REMOVED';

CREATE TABLE tariff (
    operator_id text  NOT NULL,
    id          text  NOT NULL,
    document    jsonb NOT NULL,
    CONSTRAINT tariff_pk PRIMARY KEY (operator_id, id)
);
