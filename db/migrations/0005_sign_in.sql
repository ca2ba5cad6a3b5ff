-- Members who come through an identity provider, sessions that are somebody's, answers that are asked for again, and how many objects a mesh holds.
ALTER TABLE "member" ADD COLUMN "disabled" boolean NOT NULL DEFAULT false;--> statement-breakpoint
-- Who the member is at the organization's identity provider, once they have come through it.
ALTER TABLE "member" ADD COLUMN "issuer" text COLLATE "C";--> statement-breakpoint
ALTER TABLE "member" ADD COLUMN "subject" text COLLATE "C";--> statement-breakpoint
-- The role comes from the provider's claims at each entry, and from nobody here.
ALTER TABLE "member" ADD COLUMN "by_claims" boolean NOT NULL DEFAULT false;--> statement-breakpoint
ALTER TABLE "member" ADD CONSTRAINT "member_subject" UNIQUE ("organization_id", "issuer", "subject");--> statement-breakpoint
ALTER TABLE "member" ADD CONSTRAINT "member_organization" UNIQUE ("organization_id", "id");--> statement-breakpoint

-- The key of a session goes with its member.
ALTER TABLE "api_key" ADD COLUMN "member_id" uuid;--> statement-breakpoint
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_member" FOREIGN KEY ("organization_id", "member_id") REFERENCES "member" ("organization_id", "id") ON DELETE CASCADE;--> statement-breakpoint
CREATE INDEX "api_key_of_member" ON "api_key" ("member_id") WHERE "member_id" IS NOT NULL;--> statement-breakpoint

CREATE TABLE "oidc" (
  "organization_id" uuid PRIMARY KEY REFERENCES "organization" ("id"),
  "issuer" text NOT NULL,
  "client_id" text NOT NULL,
  -- Sealed; null for a public client.
  "client_secret" text,
  "roles_claim" text,
  "roles" jsonb NOT NULL
);--> statement-breakpoint

-- A member whom the provider has let in, until the program that began it fetches the session.
CREATE TABLE "sign_in" (
  "organization_id" uuid NOT NULL,
  "hash" text COLLATE "C" NOT NULL,
  "member_id" uuid NOT NULL,
  "challenge" text NOT NULL,
  "until" timestamptz NOT NULL,
  CONSTRAINT "sign_in_key" PRIMARY KEY ("organization_id", "hash"),
  CONSTRAINT "sign_in_member" FOREIGN KEY ("organization_id", "member_id") REFERENCES "member" ("organization_id", "id") ON DELETE CASCADE
);--> statement-breakpoint

-- What a request under an Idempotency-Key was answered; `status` is null while it runs.
CREATE TABLE "replay" (
  "organization_id" uuid NOT NULL REFERENCES "organization" ("id"),
  "place" text COLLATE "C" NOT NULL,
  "body_hash" text NOT NULL,
  "status" integer,
  "body" text,
  "until" timestamptz NOT NULL,
  CONSTRAINT "replay_key" PRIMARY KEY ("organization_id", "place")
);--> statement-breakpoint
CREATE INDEX "replay_until" ON "replay" ("organization_id", "until");--> statement-breakpoint

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['oidc', 'sign_in', 'replay'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format($policy$
      CREATE POLICY "tenant" ON %I TO weft_app
        USING ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
        WITH CHECK ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
    $policy$, tenant_table);
  END LOOP;
END $$;--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "oidc", "replay" TO weft_app;--> statement-breakpoint
GRANT SELECT, INSERT, DELETE ON "sign_in" TO weft_app;--> statement-breakpoint

-- Counted as it is written, under the lock of the mesh's row: the bound then holds whoever writes.
ALTER TABLE "mesh" ADD COLUMN "resource_count" bigint NOT NULL DEFAULT 0;--> statement-breakpoint
-- Policies hide every row from an owner who is no superuser.
ALTER TABLE "mesh" NO FORCE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "resource" NO FORCE ROW LEVEL SECURITY;--> statement-breakpoint
UPDATE "mesh" SET "resource_count" = (SELECT count(*) FROM "resource" WHERE "resource"."organization_id" = "mesh"."organization_id" AND "resource"."mesh_id" = "mesh"."id");--> statement-breakpoint
ALTER TABLE "mesh" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "resource" FORCE ROW LEVEL SECURITY;--> statement-breakpoint

-- The log is read by who and by what became of it.
CREATE INDEX "audit_actor" ON "audit" ("organization_id", "actor", "id");
