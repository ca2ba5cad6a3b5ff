-- Where a workload is, for others to be kept from there while it is alive at any replica: whether some replica has a stream of it, and its addresses.
ALTER TABLE "workload" ADD COLUMN "held" boolean NOT NULL DEFAULT false;--> statement-breakpoint
ALTER TABLE "workload" ADD COLUMN "places" text[] NOT NULL DEFAULT '{}';--> statement-breakpoint
CREATE INDEX "workload_places" ON "workload" USING gin ("places");
