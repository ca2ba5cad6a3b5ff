-- Who owns an object (uids of metadata.ownerReferences): in a column of its own, for an object's text may hold what no function of JSON reads (an escaped NUL). What was stored before names its owners here once it is written again.
ALTER TABLE "resource" ADD COLUMN "owners" text[] DEFAULT '{}' NOT NULL;
--> statement-breakpoint
-- Objects with owners are few, and are found among themselves. Not by a GIN index: under row-level security an operator that may leak reaches none.
CREATE INDEX "resource_owned" ON "resource" USING btree ("organization_id","mesh_id") WHERE owners <> '{}';
