/** Whether an object of `owner` with this exportTo is seen from `client`: `.` its own namespace, `*` all (the default), `~` none, or namespaces by name. */
export function exportedTo(exportTo: readonly string[] | undefined, owner: string, client: string): boolean {
  if (exportTo === undefined || exportTo.length === 0) return true
  return exportTo.some((to) => to === '*' || to === client || (to === '.' && owner === client))
}
