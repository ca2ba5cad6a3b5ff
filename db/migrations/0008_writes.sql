-- A write to a mesh in one statement, for a client that has read what it changes: the lock on the mesh, the look whether all of that still stands, objects, history, the log of changes and the notice.
-- It runs as whoever calls it, under the policies of weft_app like any statement of a tenant. In plpgsql, because a session plans its statements once.
-- `written` are objects {api_group, kind, namespace, name, operation, uid, generation, created_at, labels, owners, object, expected}: `expected` is the revision at which the object was read, null where there was none.
-- `outcome`: written; stale (something else stands there); bound (the mesh would hold more than `resources_max`; `held` is how many). Nothing was written but for the first.
CREATE FUNCTION weft_write(its_organization uuid, its_mesh uuid, author text, message text, at timestamptz, resources_max bigint, written json, OUT outcome text, OUT new_revision bigint, OUT logged_before bigint, OUT logged bigint, OUT held bigint)
LANGUAGE plpgsql AS $$
DECLARE
  held_before bigint;
BEGIN
  SELECT m.revision + 1, m.change_count, m.resource_count INTO new_revision, logged_before, held_before FROM mesh m WHERE m.organization_id = its_organization AND m.id = its_mesh FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the organization has no such mesh';
  END IF;

  -- The limit makes it one look into the index for each key: as a plain join, a planner without statistics reads the whole mesh.
  PERFORM FROM json_to_recordset(written) AS w (api_group text, kind text, namespace text, name text, expected bigint)
    LEFT JOIN LATERAL (
      SELECT o.revision FROM resource o WHERE o.organization_id = its_organization AND o.mesh_id = its_mesh AND o.api_group = w.api_group AND o.kind = w.kind AND o.namespace = w.namespace AND o.name = w.name LIMIT 1
    ) o ON true
    WHERE o.revision IS DISTINCT FROM w.expected;
  IF FOUND THEN
    outcome := 'stale';
    RETURN;
  END IF;

  SELECT held_before + count(*) FILTER (WHERE w.operation = 'create') - count(*) FILTER (WHERE w.operation = 'delete'), logged_before + count(*) INTO held, logged FROM json_to_recordset(written) AS w (operation text);
  IF held > resources_max AND held > held_before THEN
    outcome := 'bound';
    RETURN;
  END IF;

  WITH w AS MATERIALIZED (
    SELECT row_number() OVER () - 1 AS ordinal, one.* FROM json_to_recordset(written) AS one (
      api_group text, kind text, namespace text, name text, operation text, uid uuid, generation int, created_at timestamptz, labels jsonb, owners json, object text, expected bigint)
  ), kept AS (
    INSERT INTO resource (organization_id, mesh_id, api_group, kind, namespace, name, uid, revision, generation, created_at, labels, owners, object)
    SELECT its_organization, its_mesh, w.api_group, w.kind, w.namespace, w.name, w.uid, new_revision, w.generation, w.created_at, w.labels, array(SELECT json_array_elements_text(w.owners)), w.object::json
    FROM w WHERE w.operation <> 'delete'
    ON CONFLICT (organization_id, mesh_id, api_group, kind, namespace, name) DO UPDATE
    SET uid = excluded.uid, revision = excluded.revision, generation = excluded.generation, created_at = excluded.created_at, labels = excluded.labels, owners = excluded.owners, object = excluded.object
  ), gone AS (
    DELETE FROM resource WHERE ctid = any (array(
      SELECT o.ctid FROM w CROSS JOIN LATERAL (
        SELECT ctid FROM resource o WHERE o.organization_id = its_organization AND o.mesh_id = its_mesh AND o.api_group = w.api_group AND o.kind = w.kind AND o.namespace = w.namespace AND o.name = w.name LIMIT 1
      ) o WHERE w.operation = 'delete'))
  ), told AS (
    INSERT INTO change (organization_id, mesh_id, revision, ordinal, "of", api_group, kind, namespace, name, deleted_revision)
    SELECT its_organization, its_mesh, new_revision, w.ordinal, 'resource', w.api_group, w.kind, w.namespace, w.name, CASE w.operation WHEN 'delete' THEN w.expected END FROM w
  ), moved AS (
    UPDATE mesh SET revision = new_revision, change_count = logged, resource_count = held, changed_at = now() WHERE organization_id = its_organization AND id = its_mesh
  )
  INSERT INTO history (organization_id, mesh_id, api_group, kind, namespace, name, revision, operation, author, message, at, uid, generation, created_at, object)
  SELECT its_organization, its_mesh, w.api_group, w.kind, w.namespace, w.name, new_revision, w.operation, weft_write.author, weft_write.message, weft_write.at, w.uid, w.generation, w.created_at, w.object::json FROM w;

  PERFORM pg_notify('weft_change', its_mesh || ' ' || new_revision);
  outcome := 'written';
END $$;
