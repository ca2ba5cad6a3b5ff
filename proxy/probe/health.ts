const NOT_READY = 'the application is not ready'

/** Whether the mesh may call a workload: not until its application is ready, and not while its traffic is not captured. */
export class Health {
  readonly #say: (why: string) => void
  #application: string
  #capture = ''

  /** `say` hears why the workload may not be called, empty when it may. `isReady`: what the mesh holds the application for. */
  constructor(say: (why: string) => void, isReady: boolean) {
    this.#say = say
    this.#application = isReady ? '' : NOT_READY
  }

  get isReady(): boolean {
    return this.#application === ''
  }

  /** Why it is not ready; empty when it is. */
  setApplication(why: string): void {
    this.#application = why
    this.#tell()
  }

  /** Why it is not proven; empty when it is. */
  setCapture(why: string): void {
    this.#capture = why === '' ? '' : `its traffic is not captured: ${why}`
    this.#tell()
  }

  #tell(): void {
    this.#say(this.#capture || this.#application)
  }
}
