/**
 * `Clock`: active seconds on a case: the tab is visible, and a pause of more than 30 seconds counts as 30.
 * @module
 */

const LONGEST_PAUSE_S = 30;
const SIGNS_OF_LIFE = ["pointermove", "pointerdown", "wheel", "keydown"];

export class Clock {
  constructor(now = () => performance.now() / 1000) {
    this.now = now;
    /** Seconds that no event has carried to the server yet. */
    this.open = 0;
    this.stored = 0;
    this.last = now();
    this.isRunning = false;
    for (const sign of SIGNS_OF_LIFE) addEventListener(sign, () => this.tick(), { passive: true, capture: true });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.tick() : this.skip()));
  }

  /** @param {number} stored seconds of this case that the server knows */
  start(stored) {
    this.stored = stored;
    this.open = 0;
    this.isRunning = true;
    this.skip();
  }

  stop() {
    this.tick();
    this.isRunning = false;
  }

  /** Count the time since the last sign of life. */
  tick() {
    const gap = this.now() - this.last;
    if (this.isRunning) this.open += Math.min(gap, LONGEST_PAUSE_S);
    this.skip();
  }

  /** Leave out the time since the last sign of life. */
  skip() {
    this.last = this.now();
  }

  /** The seconds since the last event, for the next one. */
  take() {
    if (!document.hidden) this.tick();
    const seconds = Math.round(this.open * 1000) / 1000;
    this.open = 0;
    this.stored += seconds;
    return seconds;
  }

  /** Active seconds on this case. */
  get seconds() {
    const gap = this.isRunning && !document.hidden ? Math.min(this.now() - this.last, LONGEST_PAUSE_S) : 0;
    return this.stored + this.open + gap;
  }
}
