"""The main stem's tables: inbox, mirror of Stripe, product subscriptions, contacts, gateway, outbox."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = """
    CREATE TABLE billing.account (
      id UUID NOT NULL,
      owner_kind VARCHAR NOT NULL,
      owner_value VARCHAR NOT NULL,
      email VARCHAR NOT NULL,
      login VARCHAR,
      provider_account VARCHAR NOT NULL,
      stripe_customer_id VARCHAR,
      asked JSONB,
      asked_at TIMESTAMP WITH TIME ZONE,
      customers INTEGER DEFAULT 1 NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (id),
      CONSTRAINT account_by_owner UNIQUE (owner_kind, owner_value),
      CONSTRAINT account_by_customer UNIQUE (stripe_customer_id)
    );

    CREATE TABLE billing.operation (
      due_at TIMESTAMP WITH TIME ZONE NOT NULL,
      lease_owner VARCHAR,
      lease_token UUID,
      lease_expires_at TIMESTAMP WITH TIME ZONE,
      claims INTEGER DEFAULT 0 NOT NULL,
      failures INTEGER DEFAULT 0 NOT NULL,
      last_error VARCHAR,
      id UUID NOT NULL,
      account_id UUID NOT NULL,
      kind VARCHAR NOT NULL,
      object_type VARCHAR NOT NULL,
      object_id VARCHAR NOT NULL,
      status VARCHAR NOT NULL,
      attempt INTEGER DEFAULT 1 NOT NULL,
      traceparent VARCHAR,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      wanted_at TIMESTAMP WITH TIME ZONE NOT NULL,
      done_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (id)
    );
    CREATE UNIQUE INDEX operation_wanted ON billing.operation (kind, object_id) WHERE status = 'wanted';
    CREATE INDEX operation_due ON billing.operation (due_at) WHERE status = 'wanted';

    CREATE TABLE billing.reservation (
      due_at TIMESTAMP WITH TIME ZONE NOT NULL,
      lease_owner VARCHAR,
      lease_token UUID,
      lease_expires_at TIMESTAMP WITH TIME ZONE,
      claims INTEGER DEFAULT 0 NOT NULL,
      failures INTEGER DEFAULT 0 NOT NULL,
      last_error VARCHAR,
      id UUID NOT NULL,
      account_id UUID NOT NULL,
      product VARCHAR NOT NULL,
      price VARCHAR NOT NULL,
      status VARCHAR NOT NULL,
      attempt INTEGER DEFAULT 1 NOT NULL,
      request JSONB,
      requested_at TIMESTAMP WITH TIME ZONE,
      session_id VARCHAR,
      url VARCHAR,
      expires_at TIMESTAMP WITH TIME ZONE,
      hints VARCHAR[] DEFAULT '{}' NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (id),
      CONSTRAINT reservation_by_session UNIQUE (session_id)
    );
    CREATE UNIQUE INDEX reservation_live ON billing.reservation (account_id, product)
      WHERE status IN ('creating', 'open');
    CREATE INDEX reservation_due ON billing.reservation (due_at) WHERE status IN ('creating', 'open');

    CREATE TABLE contact.contact (
      contact_id UUID NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (contact_id)
    );

    CREATE TABLE contact.contact_group (
      contact_id UUID NOT NULL,
      name VARCHAR NOT NULL,
      data JSONB NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (contact_id, name)
    );

    CREATE TABLE contact.delivery (
      due_at TIMESTAMP WITH TIME ZONE NOT NULL,
      lease_owner VARCHAR,
      lease_token UUID,
      lease_expires_at TIMESTAMP WITH TIME ZONE,
      claims INTEGER DEFAULT 0 NOT NULL,
      failures INTEGER DEFAULT 0 NOT NULL,
      last_error VARCHAR,
      contact_id UUID NOT NULL,
      platform VARCHAR NOT NULL,
      wanted BIGINT DEFAULT 0 NOT NULL,
      sent BIGINT DEFAULT 0 NOT NULL,
      base JSONB,
      is_unknown BOOLEAN DEFAULT false NOT NULL,
      confirm_at TIMESTAMP WITH TIME ZONE,
      traceparents VARCHAR[] DEFAULT '{}' NOT NULL,
      wanted_at TIMESTAMP WITH TIME ZONE NOT NULL,
      sent_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (contact_id, platform)
    ) WITH (fillfactor = 85);
    CREATE INDEX delivery_claimable ON contact.delivery (failures, due_at) WHERE wanted > sent;

    CREATE TABLE contact.delivery_log (
      id BIGINT GENERATED ALWAYS AS IDENTITY,
      recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
      contact_id UUID NOT NULL,
      platform VARCHAR NOT NULL,
      request VARCHAR NOT NULL,
      outcome VARCHAR NOT NULL,
      error VARCHAR,
      duration_ms INTEGER NOT NULL,
      traceparent VARCHAR,
      PRIMARY KEY (id, recorded_at)
    ) PARTITION BY RANGE (recorded_at);
    CREATE INDEX delivery_log_by_contact ON contact.delivery_log (contact_id, recorded_at);

    CREATE TABLE contact.identity (
      contact_id UUID NOT NULL,
      kind VARCHAR NOT NULL,
      value VARCHAR NOT NULL,
      exclusive BOOLEAN NOT NULL,
      PRIMARY KEY (contact_id, kind)
    );
    CREATE INDEX identity_by_value ON contact.identity (kind, value);
    CREATE UNIQUE INDEX identity_exclusive ON contact.identity (kind, value) WHERE exclusive;

    CREATE TABLE contact.newsletter (
      contact_id UUID NOT NULL,
      name VARCHAR NOT NULL,
      subscribed BOOLEAN NOT NULL,
      format VARCHAR NOT NULL,
      lang VARCHAR NOT NULL,
      source VARCHAR,
      unsub_reason VARCHAR,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (contact_id, name)
    );

    CREATE TABLE contact.slot (
      platform VARCHAR NOT NULL,
      number INTEGER NOT NULL,
      lease_owner VARCHAR,
      lease_token UUID,
      lease_expires_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (platform, number)
    );

    CREATE TABLE contact.slot_holder (
      platform VARCHAR NOT NULL,
      owner VARCHAR NOT NULL,
      expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (platform, owner)
    );

    CREATE TABLE gateway.api_client (
      client_id VARCHAR NOT NULL,
      email VARCHAR NOT NULL,
      secret_hash VARCHAR NOT NULL,
      enabled BOOLEAN NOT NULL,
      scopes TEXT[] NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      rotated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      last_used_at TIMESTAMP WITH TIME ZONE,
      previous_secret_hash VARCHAR,
      previous_rotated_at TIMESTAMP WITH TIME ZONE,
      previous_last_used_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (client_id)
    );

    CREATE TABLE gateway.role (
      name VARCHAR NOT NULL,
      description VARCHAR NOT NULL,
      PRIMARY KEY (name)
    );

    CREATE TABLE gateway.permission (
      role VARCHAR NOT NULL,
      scope VARCHAR NOT NULL,
      PRIMARY KEY (role, scope),
      FOREIGN KEY(role) REFERENCES gateway.role (name) ON DELETE CASCADE
    );

    CREATE TABLE gateway.client_role (
      client_id VARCHAR NOT NULL,
      role VARCHAR NOT NULL,
      PRIMARY KEY (client_id, role),
      FOREIGN KEY(client_id) REFERENCES gateway.api_client (client_id) ON DELETE CASCADE,
      FOREIGN KEY(role) REFERENCES gateway.role (name)
    );

    INSERT INTO gateway.role (name, description) VALUES
      ('everything', 'May do all that there is.'),
      ('reader', 'Reads contacts and subscriptions.'),
      ('contacts', 'Keeps contacts.'),
      ('shop', 'Sells: accounts, checkout, portal.'),
      ('pusher', 'Pushes objects of Stripe.');
    INSERT INTO gateway.permission (role, scope) VALUES
      ('everything', 'contacts:read'),
      ('everything', 'contacts:write'),
      ('everything', 'stripe:write'),
      ('everything', 'billing:read'),
      ('everything', 'billing:write'),
      ('reader', 'contacts:read'),
      ('reader', 'billing:read'),
      ('contacts', 'contacts:read'),
      ('contacts', 'contacts:write'),
      ('shop', 'billing:read'),
      ('shop', 'billing:write'),
      ('pusher', 'stripe:write');

    CREATE TABLE gateway.signing_key (
      key_id VARCHAR NOT NULL,
      private_key VARCHAR NOT NULL,
      public_key VARCHAR NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      retired_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (key_id)
    );

    CREATE TABLE inbox.account (
      provider VARCHAR NOT NULL,
      account VARCHAR NOT NULL,
      mode VARCHAR NOT NULL,
      epoch INTEGER DEFAULT 0 NOT NULL,
      parent VARCHAR,
      provider_id VARCHAR,
      livemode BOOLEAN,
      problem VARCHAR,
      PRIMARY KEY (provider, account)
    );

    CREATE INDEX account_stopped ON inbox.account (provider, account) WHERE problem IS NOT NULL;

    CREATE TABLE inbox.event (
      due_at TIMESTAMP WITH TIME ZONE NOT NULL,
      lease_owner VARCHAR,
      lease_token UUID,
      lease_expires_at TIMESTAMP WITH TIME ZONE,
      claims INTEGER DEFAULT 0 NOT NULL,
      failures INTEGER DEFAULT 0 NOT NULL,
      last_error VARCHAR,
      id BIGINT GENERATED ALWAYS AS IDENTITY,
      provider VARCHAR NOT NULL,
      account VARCHAR NOT NULL,
      event_id VARCHAR NOT NULL,
      type VARCHAR NOT NULL,
      object_type VARCHAR,
      object_id VARCHAR,
      created TIMESTAMP WITH TIME ZONE,
      api_version VARCHAR,
      livemode BOOLEAN,
      body BYTEA NOT NULL,
      traceparent VARCHAR,
      status VARCHAR NOT NULL,
      recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
      done_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (id),
      CONSTRAINT event_once UNIQUE (provider, account, event_id)
    ) WITH (fillfactor = 85);
    CREATE INDEX event_live ON inbox.event (provider, account, due_at, id)
      WHERE status = 'received' AND failures = 0;
    CREATE INDEX event_retry ON inbox.event (provider, account, due_at, id)
      WHERE status = 'received' AND failures > 0;

    CREATE TABLE outbox.entry (
      due_at TIMESTAMP WITH TIME ZONE NOT NULL,
      lease_owner VARCHAR,
      lease_token UUID,
      lease_expires_at TIMESTAMP WITH TIME ZONE,
      claims INTEGER DEFAULT 0 NOT NULL,
      failures INTEGER DEFAULT 0 NOT NULL,
      last_error VARCHAR,
      id BIGINT GENERATED ALWAYS AS IDENTITY,
      consumer VARCHAR NOT NULL,
      topic VARCHAR NOT NULL,
      key VARCHAR NOT NULL,
      traceparent VARCHAR,
      recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
      settled_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (id)
    ) WITH (fillfactor = 85);
    CREATE INDEX entry_claimable ON outbox.entry (consumer, failures, due_at, id) WHERE settled_at IS NULL;

    CREATE TABLE stripe.customer (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      epoch INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      rank SMALLINT NOT NULL,
      key VARCHAR NOT NULL,
      deleted BOOLEAN DEFAULT false NOT NULL,
      livemode BOOLEAN,
      created TIMESTAMP WITH TIME ZONE,
      description VARCHAR,
      email VARCHAR,
      name VARCHAR,
      default_source VARCHAR,
      invoice_settings_default_payment_method VARCHAR,
      missing BOOLEAN,
      metadata JSONB,
      PRIMARY KEY (account, id)
    ) WITH (fillfactor = 85);

    CREATE TABLE stripe.invoice (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      epoch INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      rank SMALLINT NOT NULL,
      key VARCHAR NOT NULL,
      deleted BOOLEAN DEFAULT false NOT NULL,
      livemode BOOLEAN,
      created TIMESTAMP WITH TIME ZONE,
      customer VARCHAR,
      subscription VARCHAR,
      status VARCHAR,
      currency VARCHAR,
      total BIGINT,
      amount_due BIGINT,
      amount_paid BIGINT,
      amount_remaining BIGINT,
      attempt_count INTEGER,
      billing_reason VARCHAR,
      collection_method VARCHAR,
      default_payment_method VARCHAR,
      default_source VARCHAR,
      due_date TIMESTAMP WITH TIME ZONE,
      number VARCHAR,
      period_start TIMESTAMP WITH TIME ZONE,
      period_end TIMESTAMP WITH TIME ZONE,
      status_details_uncollectible_reason VARCHAR,
      status_transitions_finalized_at TIMESTAMP WITH TIME ZONE,
      status_transitions_marked_uncollectible_at TIMESTAMP WITH TIME ZONE,
      metadata JSONB,
      incomplete_lines BOOLEAN NOT NULL,
      PRIMARY KEY (account, id)
    ) WITH (fillfactor = 85);
    CREATE INDEX invoice_unpaid ON stripe.invoice (account, customer)
      WHERE status IN ('open', 'uncollectible');

    CREATE TABLE stripe.invoice_line (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      invoice VARCHAR NOT NULL,
      type VARCHAR,
      price VARCHAR,
      product VARCHAR,
      invoice_item VARCHAR,
      subscription VARCHAR,
      subscription_item VARCHAR,
      amount BIGINT,
      currency VARCHAR,
      quantity BIGINT,
      period_start TIMESTAMP WITH TIME ZONE,
      period_end TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (account, id)
    );
    CREATE INDEX invoice_line_by_invoice ON stripe.invoice_line (account, invoice);

    CREATE TABLE stripe.price (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      epoch INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      rank SMALLINT NOT NULL,
      key VARCHAR NOT NULL,
      deleted BOOLEAN DEFAULT false NOT NULL,
      livemode BOOLEAN,
      created TIMESTAMP WITH TIME ZONE,
      product VARCHAR,
      active BOOLEAN,
      currency VARCHAR,
      unit_amount BIGINT,
      type VARCHAR,
      recurring_interval VARCHAR,
      recurring_interval_count INTEGER,
      metadata JSONB,
      PRIMARY KEY (account, id)
    );

    CREATE TABLE stripe.product (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      epoch INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      rank SMALLINT NOT NULL,
      key VARCHAR NOT NULL,
      deleted BOOLEAN DEFAULT false NOT NULL,
      livemode BOOLEAN,
      created TIMESTAMP WITH TIME ZONE,
      name VARCHAR,
      active BOOLEAN,
      metadata JSONB,
      PRIMARY KEY (account, id)
    );

    CREATE TABLE stripe.revision (
      id BIGINT GENERATED ALWAYS AS IDENTITY,
      recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
      account VARCHAR NOT NULL,
      object_type VARCHAR NOT NULL,
      object_id VARCHAR NOT NULL,
      valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
      content_hash BYTEA NOT NULL,
      event BIGINT,
      body BYTEA,
      PRIMARY KEY (id, recorded_at)
    ) PARTITION BY RANGE (recorded_at);
    CREATE INDEX revision_by_object ON stripe.revision (account, object_id, valid_from);

    CREATE TABLE stripe.subscription (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      epoch INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      rank SMALLINT NOT NULL,
      key VARCHAR NOT NULL,
      deleted BOOLEAN DEFAULT false NOT NULL,
      livemode BOOLEAN,
      created TIMESTAMP WITH TIME ZONE,
      customer VARCHAR,
      status VARCHAR,
      currency VARCHAR,
      collection_method VARCHAR,
      default_payment_method VARCHAR,
      default_source VARCHAR,
      latest_invoice VARCHAR,
      start_date TIMESTAMP WITH TIME ZONE,
      trial_start TIMESTAMP WITH TIME ZONE,
      trial_end TIMESTAMP WITH TIME ZONE,
      cancel_at TIMESTAMP WITH TIME ZONE,
      cancel_at_period_end BOOLEAN,
      canceled_at TIMESTAMP WITH TIME ZONE,
      ended_at TIMESTAMP WITH TIME ZONE,
      paused_at TIMESTAMP WITH TIME ZONE,
      paused_reason VARCHAR,
      metadata JSONB,
      incomplete_items BOOLEAN NOT NULL,
      PRIMARY KEY (account, id)
    ) WITH (fillfactor = 85);
    CREATE INDEX subscription_by_customer ON stripe.subscription (account, customer);

    CREATE TABLE stripe.subscription_item (
      account VARCHAR NOT NULL,
      id VARCHAR NOT NULL,
      epoch INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      rank SMALLINT NOT NULL,
      key VARCHAR NOT NULL,
      subscription VARCHAR NOT NULL,
      created TIMESTAMP WITH TIME ZONE,
      price VARCHAR,
      quantity BIGINT,
      current_period_start TIMESTAMP WITH TIME ZONE,
      current_period_end TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (account, id)
    ) WITH (fillfactor = 85);
    CREATE INDEX subscription_item_by_subscription ON stripe.subscription_item (account, subscription);

    CREATE TABLE subscription.owner (
      provider VARCHAR NOT NULL,
      account VARCHAR NOT NULL,
      customer VARCHAR NOT NULL,
      kind VARCHAR NOT NULL,
      value VARCHAR NOT NULL,
      created TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (provider, account, customer)
    );
    CREATE INDEX owner_by_link ON subscription.owner (kind, value);

    CREATE TABLE subscription.product_subscription (
      owner_kind VARCHAR NOT NULL,
      owner_value VARCHAR NOT NULL,
      payment_service VARCHAR NOT NULL,
      account VARCHAR NOT NULL,
      product_id VARCHAR NOT NULL,
      customer VARCHAR NOT NULL,
      subscription_id VARCHAR NOT NULL,
      item_id VARCHAR NOT NULL,
      segment VARCHAR NOT NULL,
      changed TIMESTAMP WITH TIME ZONE NOT NULL,
      sub_count INTEGER NOT NULL,
      price_id VARCHAR,
      currency VARCHAR,
      amount BIGINT,
      interval VARCHAR,
      interval_count INTEGER,
      status VARCHAR,
      created TIMESTAMP WITH TIME ZONE,
      start TIMESTAMP WITH TIME ZONE,
      current_period_start TIMESTAMP WITH TIME ZONE,
      current_period_end TIMESTAMP WITH TIME ZONE,
      canceled_at TIMESTAMP WITH TIME ZONE,
      cancel_at_period_end BOOLEAN,
      ended_at TIMESTAMP WITH TIME ZONE,
      rules VARCHAR NOT NULL,
      derived_at TIMESTAMP WITH TIME ZONE NOT NULL,
      PRIMARY KEY (owner_kind, owner_value, payment_service, account, product_id)
    ) WITH (fillfactor = 85);

    CREATE TABLE subscription.rule_activation (
      id BIGINT GENERATED ALWAYS AS IDENTITY,
      name VARCHAR NOT NULL,
      digest VARCHAR NOT NULL,
      rules JSONB NOT NULL,
      activated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      walked_kind VARCHAR,
      walked_value VARCHAR,
      completed_at TIMESTAMP WITH TIME ZONE,
      PRIMARY KEY (id)
    );

    -- Payloads are stored as they are: compressing them costs more than the space is worth.
    ALTER TABLE inbox.event ALTER COLUMN body SET STORAGE EXTERNAL;
    ALTER TABLE stripe.revision ALTER COLUMN body SET STORAGE EXTERNAL;

    CREATE TABLE stripe.revision_p_default PARTITION OF stripe.revision DEFAULT;
    CREATE TABLE contact.delivery_log_p_default PARTITION OF contact.delivery_log DEFAULT;

    CREATE VIEW inbox.v1_hint AS
      SELECT provider, account, event_id, status FROM inbox.event WHERE type = 'mainstem.hint';
    CREATE VIEW stripe.v1_product AS
      SELECT account, id, deleted, livemode, created, name, active FROM stripe.product;
    CREATE VIEW stripe.v1_price AS
      SELECT account, id, deleted, livemode, created, product, active, currency, unit_amount,
        recurring_interval, recurring_interval_count
      FROM stripe.price;
    CREATE VIEW stripe.v1_subscription AS
      SELECT account, id, deleted, livemode, created, customer, status, latest_invoice, trial_end, cancel_at,
        cancel_at_period_end, canceled_at, ended_at
      FROM stripe.subscription;
    CREATE VIEW stripe.v1_subscription_item AS
      SELECT account, id, created, subscription, price, quantity, current_period_start, current_period_end
      FROM stripe.subscription_item;
    CREATE VIEW stripe.v1_invoice AS
      SELECT account, id, deleted, livemode, created, customer, subscription, status, currency, amount_due,
        amount_paid, amount_remaining, attempt_count, billing_reason, collection_method, due_date,
        status_details_uncollectible_reason, status_transitions_finalized_at,
        status_transitions_marked_uncollectible_at
      FROM stripe.invoice;
    CREATE VIEW subscription.v1_owner AS
      SELECT owner.provider, owner.account, owner.customer, owner.kind, owner.value,
        coalesce(customer.deleted AND customer.missing IS NOT TRUE, false) AS deleted
      FROM subscription.owner
      LEFT JOIN stripe.customer ON owner.provider = 'stripe' AND customer.account = owner.account
        AND customer.id = owner.customer;
    CREATE VIEW subscription.v1_product_subscription AS SELECT * FROM subscription.product_subscription;

    CREATE TABLE mainstem.state (
      one BOOLEAN PRIMARY KEY CHECK (one),
      version INTEGER NOT NULL,
      oldest_reader INTEGER NOT NULL
    )
"""


def upgrade() -> None:
    """Create everything; asyncpg takes one statement at a time."""
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
