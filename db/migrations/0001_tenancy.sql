-- Who may touch what. The roles weft_app and weft_lookup are made by db/roles.ts: they belong to the server and not to this database.
-- FORCE, because the owner of a table is otherwise exempt from its policies.

ALTER TABLE "organization" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "organization" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY "tenant" ON "organization" TO weft_app
  USING ("id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
  WITH CHECK ("id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid));--> statement-breakpoint

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['mesh', 'api_key', 'join_token', 'resource', 'history', 'change', 'workload'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    -- nullif: after a transaction that set it, a session reads the setting as '' and not as null.
    EXECUTE format($policy$
      CREATE POLICY "tenant" ON %I TO weft_app
        USING ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
        WITH CHECK ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
    $policy$, tenant_table);
  END LOOP;
END $$;--> statement-breakpoint

GRANT SELECT, INSERT ON "organization" TO weft_app;--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE ON "mesh" TO weft_app;--> statement-breakpoint
GRANT SELECT, INSERT, DELETE ON "api_key", "join_token" TO weft_app;--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "resource", "workload" TO weft_app;--> statement-breakpoint
-- Nobody rewrites history; the log of changes only loses its end.
GRANT SELECT, INSERT ON "history" TO weft_app;--> statement-breakpoint
GRANT SELECT, INSERT, DELETE ON "change" TO weft_app;--> statement-breakpoint

-- The few questions that cross tenants, read-only: whose is this credential, whose is this mesh, which roots are there, which meshes moved. No sealed root among them.
CREATE POLICY "lookup" ON "organization" FOR SELECT TO weft_lookup USING (true);--> statement-breakpoint
CREATE POLICY "lookup" ON "mesh" FOR SELECT TO weft_lookup USING (true);--> statement-breakpoint
CREATE POLICY "lookup" ON "api_key" FOR SELECT TO weft_lookup USING (true);--> statement-breakpoint
CREATE POLICY "lookup" ON "join_token" FOR SELECT TO weft_lookup USING (true);--> statement-breakpoint
GRANT SELECT ON "organization", "api_key", "join_token" TO weft_lookup;--> statement-breakpoint
GRANT SELECT ("id", "organization_id", "name", "trust_domain", "revision", "settings", "root_certificate", "created_at", "changed_at") ON "mesh" TO weft_lookup;
