-- Several control planes on one database: how long a workload stays without word of its proxy, and who heard of it last; and what the proxies of each replica have acknowledged.
ALTER TABLE "workload" ADD COLUMN "lease_until" timestamptz;--> statement-breakpoint
ALTER TABLE "workload" ADD COLUMN "lease_holder" text;--> statement-breakpoint

CREATE TABLE "replica_status" (
  "organization_id" uuid NOT NULL,
  "mesh_id" uuid NOT NULL,
  "replica" text COLLATE "C" NOT NULL,
  "until" timestamptz NOT NULL,
  "statuses" json NOT NULL,
  CONSTRAINT "replica_status_key" PRIMARY KEY ("organization_id", "mesh_id", "replica"),
  CONSTRAINT "replica_status_mesh" FOREIGN KEY ("organization_id", "mesh_id") REFERENCES "mesh" ("organization_id", "id")
);--> statement-breakpoint
ALTER TABLE "replica_status" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "replica_status" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY "tenant" ON "replica_status" TO weft_app
  USING ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid))
  WITH CHECK ("organization_id" = (SELECT nullif(current_setting('weft.organization', true), '')::uuid));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "replica_status" TO weft_app;
