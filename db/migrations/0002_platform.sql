-- What the installation itself keeps, and no tenant: the control plane's own sealed root. Its role sees this table and no other; tenants' roles do not see it.
CREATE TABLE "platform" (
  "name" text PRIMARY KEY,
  "value" bytea NOT NULL
);--> statement-breakpoint
GRANT SELECT, INSERT ON "platform" TO weft_platform;
