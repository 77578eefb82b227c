import { EngineError } from './errors.js';

/** Longest line that is read, in bytes. The engine keeps them below 256 KiB. */
const MAX_LINE_BYTES = 4 << 20;

/** Lines out of bytes that come in pieces. */
export class LineReader {
  readonly #receive: (line: string) => void;
  #begun: Buffer[] = [];
  #begunBytes = 0;

  constructor(receive: (line: string) => void) {
    this.#receive = receive;
  }

  /**
   * Tells the lines that end in these bytes.
   *
   * @throws EngineError if a line is too long; and what the receiver throws.
   */
  push(bytes: Buffer): void {
    let begin = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, begin)) {
      const line = Buffer.concat([...this.#begun, bytes.subarray(begin, end)]).toString('utf8');
      this.#begun = [];
      this.#begunBytes = 0;
      begin = end + 1;
      if (line.trim() !== '') {
        this.#receive(line);
      }
    }
    if (begin < bytes.length) {
      this.#begun.push(bytes.subarray(begin));
      this.#begunBytes += bytes.length - begin;
      if (this.#begunBytes > MAX_LINE_BYTES) {
        throw new EngineError('E_ENGINE', 'the engine sent a line that is too long');
      }
    }
  }
}
