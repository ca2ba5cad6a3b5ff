import { defineConfig } from 'drizzle-kit'

/** For `npx drizzle-kit generate --config db/drizzle.config.ts`. Roles, grants and row-level security are written by hand in migrations of their own. */
export default defineConfig({ dialect: 'postgresql', schema: './db/schema/*.ts', out: './db/migrations' })
