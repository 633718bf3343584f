-- Operators we know, and the credentials between them and us.
--
-- What we present to others is kept as it is (we must be able to say it); what others present to us is
-- kept only as the SHA-256 of 256 random bits, so a copy of this database opens none of our doors.

CREATE TABLE federation_operators (
    operator_id            text        NOT NULL,
    name                   text        NOT NULL,
    base_url               text        NOT NULL,
    mqtt_url               text        NOT NULL,
    status                 text        NOT NULL,
    since                  timestamptz NOT NULL,
    outbound_token         text,
    outbound_mqtt_password text,
    CONSTRAINT federation_operators_pkey PRIMARY KEY (operator_id),
    CONSTRAINT federation_operators_id_shape CHECK (operator_id ~ '^[A-Z]{2}\*[A-Z0-9]{3}$'),
    CONSTRAINT federation_operators_status_known CHECK (status IN ('invited', 'active', 'revoked')),
    CONSTRAINT federation_operators_credentials_while_active CHECK (
        (status = 'active') = (outbound_token IS NOT NULL)
        AND (status = 'active') = (outbound_mqtt_password IS NOT NULL)
    )
);

-- More than one token of a kind lives only while credentials are being changed: the old ones stay good
-- for a moment, so that no call in flight is refused.
CREATE TABLE federation_tokens (
    token_sha256 bytea       NOT NULL,
    operator_id  text        NOT NULL,
    kind         text        NOT NULL,
    made_at      timestamptz NOT NULL,
    expires_at   timestamptz,
    CONSTRAINT federation_tokens_pkey PRIMARY KEY (token_sha256),
    CONSTRAINT federation_tokens_is_sha256 CHECK (octet_length(token_sha256) = 32),
    CONSTRAINT federation_tokens_kind_known CHECK (kind IN ('rest', 'mqtt')),
    CONSTRAINT federation_tokens_operator_known
        FOREIGN KEY (operator_id) REFERENCES federation_operators (operator_id) ON DELETE CASCADE
);

CREATE INDEX federation_tokens_by_operator ON federation_tokens (operator_id);

-- A registration token: one use, and an end. With an operator_id nobody else may use it.
CREATE TABLE federation_invitations (
    token_sha256 bytea       NOT NULL,
    operator_id  text,
    made_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    used_by      text,
    CONSTRAINT federation_invitations_pkey PRIMARY KEY (token_sha256),
    CONSTRAINT federation_invitations_is_sha256 CHECK (octet_length(token_sha256) = 32),
    CONSTRAINT federation_invitations_expires_later CHECK (expires_at > made_at),
    CONSTRAINT federation_invitations_used_by_somebody CHECK ((used_at IS NULL) = (used_by IS NULL)),
    CONSTRAINT federation_invitations_used_by_the_named
        CHECK (operator_id IS NULL OR used_by IS NULL OR used_by = operator_id)
);
