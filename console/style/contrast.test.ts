import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const sheet = readFileSync(new URL('base.css', import.meta.url), 'utf8')
const darkAt = sheet.indexOf('@media (prefers-color-scheme: dark)')
const colours = (text: string): Map<string, string> => new Map([...text.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map((found) => [found[1] ?? '', found[2] ?? '']))
const light = colours(sheet.slice(0, darkAt))
const dark = new Map([...light, ...colours(sheet.slice(darkAt))])

/** WCAG 2.2, "relative luminance". */
function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

for (const [scheme, palette] of [['light', light], ['dark', dark]] as const) {
  const of = (name: string): string => palette.get(name) ?? assert.fail(name)

  test(`text can be read in the ${scheme} scheme: 4.5 to 1 at least`, () => {
    const pairs = ['ink', 'muted', 'accent', 'good-ink', 'warn-ink', 'bad-ink'].flatMap((text) => ['canvas', 'surface'].map((ground) => [text, ground] as const))
    const more = [['ink', 'track'], ['muted', 'track'], ['ink', 'accent-soft'], ['muted', 'accent-soft'], ['bad-ink', 'bad-soft'], ['accent-ink', 'accent'], ['accent', 'bad-soft'], ['warn-ink', 'bad-soft'], ['muted', 'added-soft'], ['warn-ink', 'added-soft'], ['good-ink', 'added-soft'], ['accent', 'added-soft']] as const
    const poor = [...pairs, ...more].map(([text, ground]) => `${text} on ${ground} ${contrast(of(text), of(ground)).toFixed(2)}`).filter((line) => Number(line.split(' ').at(-1)) < 4.5)
    assert.deepEqual(poor, [])
  })

  test(`lines and borders of controls can be told from their ground in the ${scheme} scheme: 3 to 1 at least`, () => {
    const poor = [['good', 'canvas'], ['bad', 'canvas'], ['accent', 'canvas'], ['line-strong', 'surface']].map(([line = '', ground = '']) => `${line} on ${ground} ${contrast(of(line), of(ground)).toFixed(2)}`).filter((text) => Number(text.split(' ').at(-1)) < 3)
    assert.deepEqual(poor, [])
  })
}
