// Neither a slow reader nor a slow writer makes anybody keep what is on its way.
// CONTAINERARCHIVE_TEST_LONG=1: 2 GB instead of 200 MB.
import assert from 'node:assert/strict';
import { createCipheriv, createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { children, peakMemory, repository } from './tools.mjs';

const PIECE_BYTES = 1 << 20;
const PIECES = process.env.CONTAINERARCHIVE_TEST_LONG ? 2000 : 200;
const NODE_BYTES = 200e6;
const ENGINE_BYTES = 250 * 2 ** 20;

/** Noise, piece by piece, fast. */
function* noise(hash) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16));
  const zeros = Buffer.alloc(PIECE_BYTES);
  for (let count = 0; count < PIECES; count += 1) {
    const piece = cipher.update(zeros);
    hash.update(piece);
    yield piece;
  }
}

test('slow and fast producers and consumers of a long stream keep memory small', async (t) => {
  const { repo } = await repository(t, { parity: 'off' });
  const [{ pid }] = await children();
  const sent = createHash('sha256');
  // The producer is as fast as it can be, and the engine the slow end.
  const { id } = await repo.ingest(
    (async function* () {
      yield* noise(sent);
    })(),
  );
  const expected = sent.digest('hex');
  const received = createHash('sha256');
  let count = 0;
  for await (const part of repo.restore(id)) {
    received.update(part);
    count += 1;
    if (count % 64 === 0) {
      // The consumer is the slow end.
      await sleep(5);
    }
  }
  assert.equal(received.digest('hex'), expected);
  // A producer that is slow.
  const again = await repo.ingest(
    (async function* () {
      let made = 0;
      for (const piece of noise(createHash('sha256'))) {
        yield piece;
        made += 1;
        if (made % 10 === 0) {
          await sleep(10);
        }
      }
    })(),
  );
  assert.equal(again.newChunks, 0);
  const [node, engine] = [await peakMemory(process.pid), await peakMemory(pid)];
  t.diagnostic(`at most ${(node / 1e6).toFixed(0)} MB here, ${(engine / 1e6).toFixed(0)} MB in the engine`);
  assert.ok(node < NODE_BYTES, `${node} bytes here`);
  assert.ok(engine < ENGINE_BYTES, `${engine} bytes in the engine`);
});
