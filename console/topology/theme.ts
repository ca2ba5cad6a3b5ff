/** The style sheet's colours, as the canvas needs them: one design, read from the page's custom properties. */
export interface Theme {
  readonly canvas: string
  readonly surface: string
  readonly ink: string
  readonly muted: string
  readonly line: string
  readonly accent: string
  readonly accentSoft: string
  readonly track: string
  readonly good: string
  readonly warn: string
  readonly bad: string
  readonly quiet: string
  readonly goodInk: string
  readonly warnInk: string
  readonly badInk: string
  readonly shadow: string
  readonly family: string
}

export function readTheme(element: Element): Theme {
  const style = getComputedStyle(element)
  const property = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    canvas: property('canvas'), surface: property('surface'), ink: property('ink'), muted: property('muted'), line: property('line'), accent: property('accent'), accentSoft: property('accent-soft'), track: property('track'),
    good: property('good'), warn: property('warn'), bad: property('bad'), quiet: property('quiet'), goodInk: property('good-ink'), warnInk: property('warn-ink'), badInk: property('bad-ink'), shadow: property('shadow-colour'),
    family: style.fontFamily,
  }
}

export const nameFont = (theme: Theme): string => `600 13px ${theme.family}`
export const smallFont = (theme: Theme): string => `400 11px ${theme.family}`
export const smallBoldFont = (theme: Theme): string => `600 11px ${theme.family}`
