-- Keys of some namespaces alone, members with passwords, quotas, and who did or tried what.
ALTER TABLE "api_key" ADD COLUMN "namespaces" jsonb;--> statement-breakpoint
ALTER TABLE "organization" ADD COLUMN "quota" jsonb NOT NULL DEFAULT '{}';--> statement-breakpoint
GRANT UPDATE ("quota") ON "organization" TO weft_app;--> statement-breakpoint

CREATE TABLE "member" (
  "id" uuid PRIMARY KEY,
  "organization_id" uuid NOT NULL REFERENCES "organization" ("id"),
  "name" text COLLATE "C" NOT NULL,
  "role" text NOT NULL,
  -- argon2id with its parameters and salt; null until an invitation is taken.
  "password" text,
  "invitation_hash" text COLLATE "C" CONSTRAINT "member_invitation" UNIQUE,
  "invited_until" timestamptz,
  "created_at" timestamptz NOT NULL,
  CONSTRAINT "member_name" UNIQUE ("organization_id", "name")
);--> statement-breakpoint

CREATE TABLE "audit" (
  "id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "organization_id" uuid NOT NULL REFERENCES "organization" ("id"),
  "mesh_id" uuid,
  "at" timestamptz NOT NULL,
  "actor" text NOT NULL,
  "actor_id" text NOT NULL,
  "source" text NOT NULL,
  "method" text NOT NULL,
  "path" text NOT NULL,
  "status" integer NOT NULL,
  "what" jsonb NOT NULL
);--> statement-breakpoint
CREATE INDEX "audit_organization" ON "audit" ("organization_id", "id");--> statement-breakpoint

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['member', 'audit'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format($policy$
      CREATE POLICY "tenant" ON %I TO weft_app
        USING ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
        WITH CHECK ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
    $policy$, tenant_table);
  END LOOP;
END $$;--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "member" TO weft_app;--> statement-breakpoint
-- Nobody rewrites the log, not even its tenant.
GRANT SELECT, INSERT ON "audit" TO weft_app;
