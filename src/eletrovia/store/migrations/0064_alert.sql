-- What somebody should hear of: told once, by every way they chose, for as long as it takes.

CREATE TABLE alert (
    id              text        NOT NULL CONSTRAINT alert_pkey PRIMARY KEY,
    kind            text        NOT NULL,
    subject         text        NOT NULL,  -- what it is about: "point:…", "meter:…", "area:…", "all"
    period          text        NOT NULL,  -- and when: a day, a billing period, since when it is silent
    level           smallint    NOT NULL,  -- metering/alert.py: Level
    facts           jsonb       NOT NULL,
    customer_id     text        CONSTRAINT alert_customer_fkey REFERENCES customer (id),
    for_staff       boolean     NOT NULL,
    usage_point_id  text,
    meter           integer,
    raised_at       timestamptz NOT NULL,
    again_at        timestamptz NOT NULL,  -- until then nothing else of this kind about this subject is raised
    cleared_at      timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,                  -- an account
    CONSTRAINT alert_once UNIQUE (kind, subject, period),
    CONSTRAINT alert_cool_down EXCLUDE USING gist (
        textrange(kind || ' ' || subject, kind || ' ' || subject, '[]') WITH &&,
        tstzrange(raised_at, again_at) WITH &&
    ),
    CONSTRAINT alert_kind_known CHECK (
        kind IN ('excess', 'bill', 'silent', 'outage', 'register', 'blocked')
    ),
    CONSTRAINT alert_level_known CHECK (level BETWEEN 1 AND 3),
    CONSTRAINT alert_cools_down_later CHECK (again_at >= raised_at),
    CONSTRAINT alert_is_for_somebody CHECK (for_staff OR customer_id IS NOT NULL),
    CONSTRAINT alert_acknowledged_by_somebody CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
);

-- A state that lasts is one alert, whoever finds it and whenever they say it began.
CREATE UNIQUE INDEX alert_one_open ON alert (kind, subject)
    WHERE cleared_at IS NULL AND kind IN ('silent', 'outage', 'blocked');
CREATE INDEX alert_customer_idx ON alert (customer_id, raised_at DESC);
CREATE INDEX alert_staff_idx ON alert (raised_at DESC) WHERE for_staff AND cleared_at IS NULL;
CREATE INDEX alert_lasting_idx ON alert (kind, meter) WHERE cleared_at IS NULL;

-- What there was to tell of it: raised, worse than before, over. Read in this order by whoever follows.
CREATE TABLE alert_news (
    id         bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT alert_news_pkey PRIMARY KEY,
    written_in xid8        NOT NULL DEFAULT pg_current_xact_id(),
    alert_id   text        NOT NULL CONSTRAINT alert_news_alert_fkey REFERENCES alert (id) ON DELETE CASCADE,
    news       text        NOT NULL,
    level      smallint    NOT NULL,
    facts      jsonb       NOT NULL,
    told_at    timestamptz NOT NULL,
    CONSTRAINT alert_news_once UNIQUE (alert_id, news, level),
    CONSTRAINT alert_news_known CHECK (news IN ('raised', 'escalated', 'cleared'))
);

CREATE INDEX alert_news_written_idx ON alert_news (written_in);

-- Which kinds, by which ways, and when not; without a customer it is the utility's own.
CREATE TABLE alert_preference (
    customer_id text        CONSTRAINT alert_preference_customer_fkey REFERENCES customer (id),
    preferences jsonb       NOT NULL,  -- metering/alert.py: Preferences
    changed_at  timestamptz NOT NULL,
    CONSTRAINT alert_preference_once UNIQUE NULLS NOT DISTINCT (customer_id)
);

-- Where alerts are posted to.
CREATE TABLE alert_webhook (
    id            text        NOT NULL CONSTRAINT alert_webhook_pkey PRIMARY KEY,
    customer_id   text        CONSTRAINT alert_webhook_customer_fkey REFERENCES customer (id),
    url           text        NOT NULL,
    secret        text        NOT NULL,
    created_at    timestamptz NOT NULL,
    answered_at   timestamptz,  -- when it last took something
    failing_since timestamptz,
    problem       text,         -- what went wrong last
    CONSTRAINT alert_webhook_once UNIQUE NULLS NOT DISTINCT (customer_id, url)
);

-- What must still be delivered: one row for each piece of news and way. The row goes in with its news.
CREATE TABLE alert_delivery (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT alert_delivery_pkey PRIMARY KEY,
    news_id     bigint      NOT NULL CONSTRAINT alert_delivery_news_fkey REFERENCES alert_news (id) ON DELETE CASCADE,
    channel     text        NOT NULL,
    lane        text        NOT NULL,  -- the receiver whose slowness is only its own: "email", "mqtt", a webhook's id
    customer_id text,                  -- null: the utility's staff
    webhook_id  text        CONSTRAINT alert_delivery_webhook_fkey REFERENCES alert_webhook (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,  -- while it is being delivered: when others may think that we are dead
    first_at    timestamptz,           -- when it was first tried
    tries       integer     NOT NULL DEFAULT 0,
    lane_down   boolean     NOT NULL DEFAULT false,  -- its receiver took nothing at all: the lane waits for its next try
    sent_at     timestamptz,
    given_up_at timestamptz,
    problem     text,
    CONSTRAINT alert_delivery_once UNIQUE NULLS NOT DISTINCT (news_id, customer_id, lane),
    CONSTRAINT alert_delivery_channel_known CHECK (channel IN ('email', 'webhook', 'mqtt')),
    CONSTRAINT alert_delivery_ends_once CHECK (sent_at IS NULL OR given_up_at IS NULL)
);

CREATE INDEX alert_delivery_due_idx ON alert_delivery (due_at, lane) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX alert_delivery_down_idx ON alert_delivery (lane, due_at)
    WHERE sent_at IS NULL AND given_up_at IS NULL AND lane_down;

-- How far a round over all usage points or meters has come; processes take its pieces in turn.
CREATE TABLE alert_round (
    name       text        NOT NULL CONSTRAINT alert_round_pkey PRIMARY KEY,
    after      text        NOT NULL,
    started_at timestamptz NOT NULL
);

-- Few meters are blocked, and somebody asks for them every few seconds.
CREATE INDEX meter_blocked_idx ON meter (key) WHERE state = 'blocked';
