import { styleText } from 'node:util'

/** Lines that say what is being done, and how long it took once it is done. */
export class Progress {
  readonly #out: NodeJS.WriteStream
  /** A step's line stands without its end. */
  #open = false
  #beforeLine: () => void = () => {}

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** Something else is drawn on the same terminal: it hears before a line is written. */
  onLine(before: () => void): void {
    this.#beforeLine = before
  }

  say(line: string): void {
    this.#beforeLine()
    if (this.#open) this.#out.write('\n')
    this.#open = false
    this.#write(`· ${line}\n`)
  }

  /**
   * Runs it. The line appears at once, its duration at the end of the line when it is over.
   * @param worthSaying decides by the result whether a step was worth a line at all; it then appears when it is over, or after half a second
   */
  async step<T>(what: string, run: () => Promise<T>, worthSaying?: (result: T) => boolean): Promise<T> {
    const beganMs = performance.now()
    const begin = (): void => {
      this.#beforeLine()
      if (this.#open) this.#out.write('\n')
      this.#write(`· ${what} …`)
      this.#open = true
    }
    let begun = worthSaying === undefined
    const late = worthSaying === undefined ? undefined : setTimeout(() => ((begun = true), begin()), 500)
    if (begun) begin()
    try {
      const result = await run()
      if (!begun && worthSaying?.(result)) begin()
      else if (!begun) return result
      const took = ` ${((performance.now() - beganMs) / 1000).toFixed(1)} s\n`
      this.#write(this.#open ? took : `· ${what}:${took}`)
      this.#open = false
      return result
    } finally {
      clearTimeout(late)
    }
  }

  #write(text: string): void {
    this.#out.write(styleText('dim', text, { stream: this.#out }))
  }
}
