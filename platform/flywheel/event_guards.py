"""What Postgres itself holds of the audit trail: its tables, and the triggers that code alone could not replace.

SQL texts that are safe to repeat; `flywheel.events.install` runs them.
"""

# The body is text, not jsonb: the hash is over its very characters, which jsonb would rewrite.
# locked_head and link_event run with their owner's rights, so that appenders need no right to move the head.
SCHEMA = """
CREATE SCHEMA IF NOT EXISTS flywheel;
CREATE TABLE IF NOT EXISTS flywheel.chain_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), seq bigint NOT NULL, hash text NOT NULL);
INSERT INTO flywheel.chain_head (seq, hash) VALUES (0, '') ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS flywheel.events (
    seq bigint PRIMARY KEY, kind text NOT NULL, subject text NOT NULL, actor text NOT NULL, at timestamptz NOT NULL,
    body text NOT NULL, previous text NOT NULL, hash text NOT NULL, transaction xid8 NOT NULL);
CREATE INDEX IF NOT EXISTS events_subject ON flywheel.events (subject, seq);
CREATE INDEX IF NOT EXISTS events_model ON flywheel.events (split_part(subject, '/', 1), kind, seq);
CREATE INDEX IF NOT EXISTS events_transaction ON flywheel.events (transaction);
CREATE INDEX IF NOT EXISTS events_kind ON flywheel.events (kind, seq);

CREATE OR REPLACE FUNCTION flywheel.locked_head() RETURNS flywheel.chain_head LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM flywheel.chain_head FOR UPDATE $$;
REVOKE ALL ON FUNCTION flywheel.locked_head() FROM PUBLIC;

CREATE OR REPLACE FUNCTION flywheel.link_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.kind = 'pointer.reverted' AND NEW.actor <> 'svc-gates' THEN
        RAISE EXCEPTION USING MESSAGE = 'only svc-gates puts pointers back, and ' || NEW.actor || ' is another.';
    END IF;
    IF (session_user = 'fw_controller'
        AND (NEW.kind !~ '^(rollout|log)[.][a-z_]+$' OR NEW.actor <> 'svc-controller'))
       OR (session_user = 'fw_monitoring'
        AND (NEW.kind !~ '^(monitor|retrain)[.][a-z_]+$' OR NEW.actor <> 'svc-monitoring')) THEN
        RAISE EXCEPTION USING MESSAGE =
            session_user || ' may not record an event of kind ' || NEW.kind || ' by ' || NEW.actor || '.';
    END IF;
    NEW.transaction := pg_current_xact_id();
    UPDATE flywheel.chain_head SET seq = NEW.seq, hash = NEW.hash WHERE seq = NEW.seq - 1 AND hash = NEW.previous;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING MESSAGE = 'event ' || NEW.seq || ' does not follow the head of the chain.';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER link_event BEFORE INSERT ON flywheel.events
FOR EACH ROW EXECUTE FUNCTION flywheel.link_event();

CREATE OR REPLACE FUNCTION flywheel.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE =
        TG_OP || ' on flywheel.' || TG_TABLE_NAME || ' refused: the audit trail is append-only.';
END $$;
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON flywheel.events
FOR EACH STATEMENT EXECUTE FUNCTION flywheel.append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON flywheel.chain_head
FOR EACH STATEMENT EXECUTE FUNCTION flywheel.append_only();
CREATE OR REPLACE TRIGGER head_moves_with_events BEFORE UPDATE ON flywheel.chain_head
FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION flywheel.append_only();
"""

# Deferred to the commit, since the gate may write event and stage in either order. Constraint triggers know no
# OR REPLACE, hence the question first.
STAGE_GUARD = """
CREATE OR REPLACE FUNCTION flywheel.stage_needs_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE changed record; target text;
BEGIN
    IF TG_OP = 'DELETE' THEN changed := OLD; target := 'Deleted_Internal';
    ELSE changed := NEW; target := NEW.current_stage; END IF;
    IF NOT EXISTS (
        SELECT 1 FROM flywheel.events WHERE transaction = pg_current_xact_id()
        AND kind IN ('transition', 'pointer.reverted')
        AND subject = changed.name || '/' || changed.version AND body::jsonb ->> 'to' = target)
    THEN RAISE EXCEPTION USING MESSAGE = 'Stage of version ' || changed.version || ' of ''' || changed.name
        || ''' may not become ' || target || ' without an event: transitions go through the registry''s gate.';
    END IF;
    RETURN NULL;
END $$;
DO $$
DECLARE known name[] := ARRAY(SELECT tgname FROM pg_trigger WHERE tgrelid = 'model_versions'::regclass);
BEGIN
IF NOT 'flywheel_stage_changed' = ANY(known) THEN
    CREATE CONSTRAINT TRIGGER flywheel_stage_changed AFTER UPDATE ON model_versions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.current_stage IS DISTINCT FROM NEW.current_stage)
    EXECUTE FUNCTION flywheel.stage_needs_event();
END IF;
IF NOT 'flywheel_stage_born' = ANY(known) THEN
    CREATE CONSTRAINT TRIGGER flywheel_stage_born AFTER INSERT ON model_versions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.current_stage IS DISTINCT FROM 'None') EXECUTE FUNCTION flywheel.stage_needs_event();
END IF;
IF NOT 'flywheel_stage_removed' = ANY(known) THEN
    CREATE CONSTRAINT TRIGGER flywheel_stage_removed AFTER DELETE ON model_versions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.current_stage = 'Production') EXECUTE FUNCTION flywheel.stage_needs_event();
END IF; END $$;
"""

GUARDS = (
    ("flywheel.events", "link_event"),
    ("flywheel.events", "append_only"),
    ("flywheel.chain_head", "append_only"),
    ("flywheel.chain_head", "head_moves_with_events"),
    ("model_versions", "flywheel_stage_changed"),
    ("model_versions", "flywheel_stage_born"),
    ("model_versions", "flywheel_stage_removed"),
)

# Monitoring keeps its schedule in a schema of its own beside the events.
SCHEDULER = "fw_monitoring"
SCHEDULE = f"CREATE SCHEMA IF NOT EXISTS monitoring; GRANT USAGE, CREATE ON SCHEMA monitoring TO {SCHEDULER};"
