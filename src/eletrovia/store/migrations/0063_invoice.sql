-- What was agreed on, what was billed for it, and what came in. Invoices and credit notes are never changed.

-- So that "the same usage point, days that overlap" can be one exclusion constraint without an extension.
CREATE TYPE textrange AS RANGE (subtype = text, collation = "C");

CREATE TABLE contract (
    usage_point_id text        NOT NULL CONSTRAINT contract_usage_point_fkey REFERENCES usage_point (id),
    valid_from     date        NOT NULL,
    terms          jsonb       NOT NULL,  -- metering/bill.py: Terms
    reading_day    smallint    NOT NULL,
    due_days       smallint    NOT NULL,
    set_at         timestamptz NOT NULL,
    set_by         text        NOT NULL,
    CONSTRAINT contract_pkey PRIMARY KEY (usage_point_id, valid_from),
    CONSTRAINT contract_reading_day_in_every_month CHECK (reading_day BETWEEN 1 AND 28),
    CONSTRAINT contract_due_days_sane CHECK (due_days BETWEEN 1 AND 90)
);

-- The last number given in a year. Its row is the lock under which invoices are written.
CREATE TABLE invoice_counter (
    kind text     NOT NULL,
    year smallint NOT NULL,
    last integer  NOT NULL,
    CONSTRAINT invoice_counter_pkey PRIMARY KEY (kind, year),
    CONSTRAINT invoice_counter_kind_known CHECK (kind IN ('invoice', 'credit_note'))
);

CREATE TABLE invoice (
    id             text           NOT NULL CONSTRAINT invoice_pkey PRIMARY KEY,
    number         text           NOT NULL CONSTRAINT invoice_number_once UNIQUE,
    usage_point_id text           NOT NULL CONSTRAINT invoice_usage_point_fkey REFERENCES usage_point (id),
    customer_id    text           NOT NULL CONSTRAINT invoice_customer_fkey REFERENCES customer (id),
    starts_on      date           NOT NULL,
    ends_on        date           NOT NULL,
    month          date           NOT NULL,  -- the first of the month that it is called after
    due_on         date           NOT NULL,
    issued_at      timestamptz    NOT NULL,
    energy_wh      bigint         NOT NULL,
    total          numeric(14, 2) NOT NULL,
    currency       text           NOT NULL,
    document       bytea          NOT NULL,  -- metering/invoice.py: Invoice, as JSON, to the octet
    sha256         bytea          NOT NULL,
    measured       bytea          NOT NULL,  -- what it was made from: metering/metered.py, packed
    CONSTRAINT invoice_once UNIQUE (usage_point_id, starts_on),
    CONSTRAINT invoice_no_overlap EXCLUDE USING gist (
        textrange(usage_point_id, usage_point_id, '[]') WITH &&,
        daterange(starts_on, ends_on) WITH &&
    ),
    CONSTRAINT invoice_ends_later CHECK (ends_on > starts_on),
    CONSTRAINT invoice_not_below_nothing CHECK (total >= 0),
    CONSTRAINT invoice_is_what_was_signed CHECK (sha256 = sha256(document))
);

CREATE INDEX invoice_customer_idx ON invoice (customer_id, starts_on);
CREATE INDEX invoice_month_idx ON invoice (month, id);

CREATE TABLE credit_note (
    id         text           NOT NULL CONSTRAINT credit_note_pkey PRIMARY KEY,
    number     text           NOT NULL CONSTRAINT credit_note_number_once UNIQUE,
    invoice_id text           NOT NULL CONSTRAINT credit_note_invoice_fkey REFERENCES invoice (id),
    amount     numeric(14, 2) NOT NULL,
    reason     text           NOT NULL,
    request_id text           NOT NULL,  -- the same request again is the same note
    issued_at  timestamptz    NOT NULL,
    document   bytea          NOT NULL,
    sha256     bytea          NOT NULL,
    CONSTRAINT credit_note_once UNIQUE (invoice_id, request_id),
    CONSTRAINT credit_note_above_nothing CHECK (amount > 0),
    CONSTRAINT credit_note_reason_known CHECK (reason IN ('readings', 'correction', 'goodwill')),
    CONSTRAINT credit_note_is_what_was_signed CHECK (sha256 = sha256(document))
);

-- A constraint over several rows: the lock on the invoice makes notes for it wait for each other.
CREATE FUNCTION credit_note_within_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    room numeric;
BEGIN
    SELECT total INTO room FROM invoice WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
    SELECT room - coalesce(sum(amount), 0) INTO room FROM credit_note WHERE invoice_id = NEW.invoice_id;
    IF NEW.amount > room THEN
        RAISE EXCEPTION 'credit notes exceed their invoice'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_note_within_invoice';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER credit_note_within_invoice BEFORE INSERT ON credit_note
    FOR EACH ROW EXECUTE FUNCTION credit_note_within_invoice();

-- How what became known after an invoice was made good: as a line of a later invoice, or by a credit note.
CREATE TABLE settlement (
    invoice_id        text           NOT NULL CONSTRAINT settlement_invoice_fkey REFERENCES invoice (id),
    sequence          integer        NOT NULL,  -- two who settle the same difference want the same number
    energy_wh         bigint         NOT NULL,
    amount            numeric(14, 2) NOT NULL,
    by_invoice_id     text           CONSTRAINT settlement_by_invoice_fkey REFERENCES invoice (id),
    by_credit_note_id text           CONSTRAINT settlement_by_credit_note_fkey REFERENCES credit_note (id),
    measured          bytea          NOT NULL,  -- what is known of that period since: as in invoice
    settled_at        timestamptz    NOT NULL,
    CONSTRAINT settlement_once PRIMARY KEY (invoice_id, sequence),
    CONSTRAINT settlement_by_one CHECK (num_nonnulls(by_invoice_id, by_credit_note_id) = 1)
);

CREATE INDEX settlement_by_invoice_idx ON settlement (by_invoice_id);

-- Money that came in for an invoice, was set off against another one, or went back (below nothing).
CREATE TABLE payment (
    id          text           NOT NULL CONSTRAINT payment_pkey PRIMARY KEY,
    invoice_id  text           NOT NULL CONSTRAINT payment_invoice_fkey REFERENCES invoice (id),
    amount      numeric(14, 2) NOT NULL,
    method      text           NOT NULL,
    reference   text           NOT NULL,  -- of the bank: the same one again is the same payment
    paid_on     date           NOT NULL,
    recorded_at timestamptz    NOT NULL,
    recorded_by text           NOT NULL,
    CONSTRAINT payment_once UNIQUE (invoice_id, reference),
    CONSTRAINT payment_of_something CHECK (amount <> 0),
    CONSTRAINT payment_method_known CHECK (method IN ('pix', 'boleto', 'cash', 'transfer', 'set_off', 'refund'))
);

CREATE FUNCTION issued_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed: correct it with a new one', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_issued_for_good';
END $$;

CREATE TRIGGER invoice_issued_for_good BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice
    FOR EACH STATEMENT EXECUTE FUNCTION issued_for_good();
CREATE TRIGGER credit_note_issued_for_good BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_note
    FOR EACH STATEMENT EXECUTE FUNCTION issued_for_good();
CREATE TRIGGER settlement_issued_for_good BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement
    FOR EACH STATEMENT EXECUTE FUNCTION issued_for_good();
CREATE TRIGGER payment_issued_for_good BEFORE UPDATE OR DELETE OR TRUNCATE ON payment
    FOR EACH STATEMENT EXECUTE FUNCTION issued_for_good();
