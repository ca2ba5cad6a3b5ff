export function LockSign({ closed }: { closed: boolean }) {
  return (
    <svg className={`lock ${closed ? 'closed' : 'open'}`} viewBox="0 0 14 12" aria-hidden="true">
      <rect x="1" y="5" width="9" height="6.5" rx="1.5" />
      <path d={closed ? 'M3 5V3.2a2.5 2.5 0 0 1 5 0V5' : 'M8 5V3a2.5 2.5 0 0 1 5 0'} />
    </svg>
  )
}
