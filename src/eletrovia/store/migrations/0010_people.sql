-- People with an account, and the refresh tokens they were given.

CREATE TABLE account (
    id            text        NOT NULL CONSTRAINT account_pkey PRIMARY KEY,
    email         text        NOT NULL CONSTRAINT account_email_key UNIQUE,
    name          text        NOT NULL,
    role          text        NOT NULL,
    language      text        NOT NULL,
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT account_email_lower CHECK (email = lower(email)),
    CONSTRAINT account_role_known CHECK (role IN ('driver', 'staff')),
    CONSTRAINT account_language_known CHECK (language IN ('en', 'pt-BR'))
);

-- One family per log-in: every refresh token that came from it by rotation. Revoking the family ends them all.
CREATE TABLE refresh_family (
    id         text        NOT NULL CONSTRAINT refresh_family_pkey PRIMARY KEY,
    account_id text        NOT NULL CONSTRAINT refresh_family_account_fkey REFERENCES account (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    reason     text,
    CONSTRAINT refresh_family_reason_given CHECK ((revoked_at IS NULL) = (reason IS NULL))
);

CREATE INDEX refresh_family_account_idx ON refresh_family (account_id);

-- Only the SHA-256 of a token is kept: whoever reads this table cannot use it.
CREATE TABLE refresh_token (
    token_sha256 bytea       NOT NULL CONSTRAINT refresh_token_pkey PRIMARY KEY,
    family_id    text        NOT NULL CONSTRAINT refresh_token_family_fkey REFERENCES refresh_family (id) ON DELETE CASCADE,
    issued_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    CONSTRAINT refresh_token_sha256_length CHECK (length(token_sha256) = 32),
    CONSTRAINT refresh_token_expires_later CHECK (expires_at > issued_at)
);

CREATE INDEX refresh_token_family_idx ON refresh_token (family_id);
CREATE INDEX refresh_token_expires_idx ON refresh_token (expires_at);
