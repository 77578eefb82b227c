import { crc32 } from 'node:zlib';

import { EngineError } from './errors.js';

/** How much is gathered for a frame of ours, which may become twice as large; the limit of the protocol is 16 MiB. */
const FRAME_BYTES = 1 << 20;
/** Pieces that are gathered at most: those of a few bytes are not worth waiting for more. */
const MAX_PARTS = 512;
/** The limit of the protocol. */
const LIMIT_BYTES = 16 << 20;
const GIVEN_UP = 0xffff_ffff;
const MAX_REASON_BYTES = 64 << 10;
const HEAD_BYTES = 4;
const END_BYTES = 8;

/** Content into frames. Small pieces are gathered: each frame costs both processes some calls and waits. */
export class FrameWriter {
  #bytes = 0;
  /** Of the next frames, none larger than a frame. */
  #parts: Uint8Array[] = [];
  #gatheredBytes = 0;

  /** Takes a piece. It must not be changed any more. */
  push(piece: Uint8Array): void {
    this.#bytes += piece.length;
    this.#gatheredBytes += piece.length;
    for (let begin = 0; begin < piece.length; begin += FRAME_BYTES) {
      this.#parts.push(piece.subarray(begin, begin + FRAME_BYTES));
    }
  }

  /** The frames that can be sent, each as its head and its parts. What is left waits for more, unless all is wanted. */
  *frames(isAll: boolean): Generator<Uint8Array[]> {
    while (this.#gatheredBytes >= FRAME_BYTES || this.#parts.length >= MAX_PARTS || (isAll && this.#parts.length > 0)) {
      let count = 0;
      let bytes = 0;
      while (count < Math.min(this.#parts.length, MAX_PARTS) && bytes < FRAME_BYTES) {
        bytes += this.#parts[count]?.length ?? 0;
        count += 1;
      }
      const head = Buffer.allocUnsafe(HEAD_BYTES);
      head.writeUInt32LE(bytes);
      this.#gatheredBytes -= bytes;
      yield [head, ...this.#parts.splice(0, count)];
    }
  }

  /** All content was written. */
  end(): Buffer {
    const end = Buffer.alloc(HEAD_BYTES + END_BYTES);
    end.writeBigUInt64LE(BigInt(this.#bytes), HEAD_BYTES);
    return end;
  }
}

/** There will be no end. */
export function givenUp(reason: string): Buffer {
  const text = Buffer.from(reason).subarray(0, MAX_REASON_BYTES);
  const head = Buffer.allocUnsafe(HEAD_BYTES + 4);
  head.writeUInt32LE(GIVEN_UP);
  head.writeUInt32LE(text.length, HEAD_BYTES);
  return Buffer.concat([head, text]);
}

/** What comes after a head. */
type State = 'head' | 'content' | 'end' | 'ended' | 'given up';

/** Content out of frames. */
export class FrameReader {
  /** Content bytes until now. */
  bytes = 0;
  /** Their CRC-32. */
  crc32 = 0;
  #state: State = 'head';
  /** Of a head or an end that came in pieces. */
  #begun: Buffer = Buffer.alloc(0);
  #leftBytes = 0;

  /** The sender said that all is there, and that is right. */
  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  /** The sender said that there will be no end. */
  get isGivenUp(): boolean {
    return this.#state === 'given up';
  }

  /**
   * The content in what came.
   *
   * @throws EngineError if it is not in frames, or its end tells another count.
   */
  *push(received: Buffer): Generator<Buffer> {
    let rest = received;
    while (rest.length > 0 && !this.isGivenUp) {
      if (this.#state === 'content') {
        const content = rest.subarray(0, this.#leftBytes);
        rest = rest.subarray(content.length);
        this.#leftBytes -= content.length;
        this.bytes += content.length;
        this.crc32 = crc32(content, this.crc32);
        if (this.#leftBytes === 0) {
          this.#state = 'head';
        }
        yield content;
      } else if (this.#state === 'ended') {
        throw new EngineError('E_ENGINE', 'the engine sent content after the end');
      } else {
        rest = this.#control(rest);
      }
    }
  }

  #control(received: Buffer): Buffer {
    const wanted = (this.#state === 'head' ? HEAD_BYTES : END_BYTES) - this.#begun.length;
    this.#begun = Buffer.concat([this.#begun, received.subarray(0, wanted)]);
    if (received.length < wanted) {
      return received.subarray(received.length);
    }
    const whole = this.#begun;
    this.#begun = Buffer.alloc(0);
    if (this.#state === 'head') {
      this.#begin(whole.readUInt32LE());
    } else {
      this.#checkEnd(whole);
    }
    return received.subarray(wanted);
  }

  #begin(length: number): void {
    if (length === 0) {
      this.#state = 'end';
    } else if (length === GIVEN_UP) {
      this.#state = 'given up';
    } else if (length > LIMIT_BYTES) {
      throw new EngineError('E_ENGINE', `the engine announced a frame of ${length} bytes`);
    } else {
      this.#leftBytes = length;
      this.#state = 'content';
    }
  }

  #checkEnd(end: Buffer): void {
    const bytes = end.readBigUInt64LE();
    if (bytes !== BigInt(this.bytes)) {
      throw new EngineError('E_ENGINE', `${this.bytes} bytes came, and ${bytes} were sent`);
    }
    this.#state = 'ended';
  }
}
