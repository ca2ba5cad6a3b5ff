/**
 * The roles belong to the whole server, so several databases on it share them and a migration cannot own them.
 * Creating is tried again on every start until it has been done; two servers' starters may race for it.
 * USAGE and not MEMBER: whoever creates a role without being superuser may administer it, and not yet act as it.
 */
export const ROLES_READY = `
  select count(*) = 3 as ready from pg_roles
  where rolname in ('weft_app', 'weft_lookup', 'weft_platform') and pg_has_role(current_user, oid, 'USAGE')`

export const CREATE_ROLES = `
do $$
declare
  wanted text;
begin
  foreach wanted in array array['weft_app', 'weft_lookup', 'weft_platform'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception when duplicate_object or unique_violation then
      null; -- another database's starter was first
    end;
    if not pg_has_role(current_user, wanted, 'USAGE') then
      execute format('grant %I to current_user', wanted);
    end if;
  end loop;
end $$`
