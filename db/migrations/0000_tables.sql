CREATE TABLE "change" (
	"organization_id" uuid NOT NULL,
	"mesh_id" uuid NOT NULL,
	"revision" bigint NOT NULL,
	"ordinal" integer NOT NULL,
	"of" text NOT NULL,
	"api_group" text collate "C" DEFAULT '' NOT NULL,
	"kind" text collate "C" DEFAULT '' NOT NULL,
	"namespace" text collate "C" DEFAULT '' NOT NULL,
	"name" text collate "C" DEFAULT '' NOT NULL,
	"deleted_revision" bigint,
	"detail" json,
	CONSTRAINT "change_key" PRIMARY KEY("organization_id","mesh_id","revision","ordinal")
);
--> statement-breakpoint
CREATE TABLE "api_key" (
	"id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"name" text collate "C" NOT NULL,
	"hash" text collate "C" NOT NULL,
	"role" text NOT NULL,
	"mesh_id" uuid,
	"expires_at" timestamp with time zone,
	"created_at" timestamp with time zone NOT NULL,
	CONSTRAINT "api_key_hash" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "join_token" (
	"id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"mesh_id" uuid NOT NULL,
	"hash" text collate "C" NOT NULL,
	"namespace" text NOT NULL,
	"service_account" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	CONSTRAINT "join_token_hash" UNIQUE("hash")
);
--> statement-breakpoint
CREATE TABLE "mesh" (
	"id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"name" text collate "C" NOT NULL,
	"trust_domain" text NOT NULL,
	"revision" bigint DEFAULT 0 NOT NULL,
	"change_count" bigint DEFAULT 0 NOT NULL,
	"change_floor" bigint DEFAULT 0 NOT NULL,
	"settings" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"root_certificate" text NOT NULL,
	"sealed_root" "bytea" NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"changed_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "mesh_name" UNIQUE("organization_id","name"),
	CONSTRAINT "mesh_organization" UNIQUE("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "organization" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text collate "C" NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	CONSTRAINT "organization_name" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "history" (
	"organization_id" uuid NOT NULL,
	"mesh_id" uuid NOT NULL,
	"api_group" text collate "C" NOT NULL,
	"kind" text collate "C" NOT NULL,
	"namespace" text collate "C" NOT NULL,
	"name" text collate "C" NOT NULL,
	"revision" bigint NOT NULL,
	"operation" text NOT NULL,
	"author" text NOT NULL,
	"message" text NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"uid" uuid NOT NULL,
	"generation" integer NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"object" json NOT NULL,
	CONSTRAINT "history_key" PRIMARY KEY("organization_id","mesh_id","revision","api_group","kind","namespace","name")
);
--> statement-breakpoint
CREATE TABLE "resource" (
	"organization_id" uuid NOT NULL,
	"mesh_id" uuid NOT NULL,
	"api_group" text collate "C" NOT NULL,
	"kind" text collate "C" NOT NULL,
	"namespace" text collate "C" NOT NULL,
	"name" text collate "C" NOT NULL,
	"uid" uuid NOT NULL,
	"revision" bigint NOT NULL,
	"generation" integer NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"labels" jsonb NOT NULL,
	"object" json NOT NULL,
	CONSTRAINT "resource_key" PRIMARY KEY("organization_id","mesh_id","api_group","kind","namespace","name")
);
--> statement-breakpoint
CREATE TABLE "workload" (
	"organization_id" uuid NOT NULL,
	"mesh_id" uuid NOT NULL,
	"namespace" text collate "C" NOT NULL,
	"name" text collate "C" NOT NULL,
	"revision" bigint NOT NULL,
	"workload" json NOT NULL,
	CONSTRAINT "workload_key" PRIMARY KEY("organization_id","mesh_id","namespace","name")
);
--> statement-breakpoint
ALTER TABLE "change" ADD CONSTRAINT "change_mesh" FOREIGN KEY ("organization_id","mesh_id") REFERENCES "public"."mesh"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_organization_id_organization_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organization"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_mesh" FOREIGN KEY ("organization_id","mesh_id") REFERENCES "public"."mesh"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "join_token" ADD CONSTRAINT "join_token_mesh" FOREIGN KEY ("organization_id","mesh_id") REFERENCES "public"."mesh"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "mesh" ADD CONSTRAINT "mesh_organization_id_organization_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organization"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "history" ADD CONSTRAINT "history_mesh" FOREIGN KEY ("organization_id","mesh_id") REFERENCES "public"."mesh"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "resource" ADD CONSTRAINT "resource_mesh" FOREIGN KEY ("organization_id","mesh_id") REFERENCES "public"."mesh"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "workload" ADD CONSTRAINT "workload_mesh" FOREIGN KEY ("organization_id","mesh_id") REFERENCES "public"."mesh"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "api_key_organization" ON "api_key" USING btree ("organization_id");--> statement-breakpoint
CREATE INDEX "join_token_organization" ON "join_token" USING btree ("organization_id");--> statement-breakpoint
CREATE INDEX "mesh_changed_at" ON "mesh" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "history_object" ON "history" USING btree ("mesh_id","api_group","kind","namespace","name","revision");