// The real RustBridge drives the same program, and hostile lines and frames are errors and never a crash.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, utimes } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { RustBridge } from '@push.rocks/smartrust';

import { BINARY, KDF, PASSPHRASE, assertQuiet, folder, noise } from './tools.mjs';

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function end(length) {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64LE(BigInt(length), 4);
  return bytes;
}

function framed(content, last = end(content.length)) {
  return Buffer.concat([u32(content.length), content, last]);
}

/** The content of frames, and whether they have their end. */
function unframed(bytes) {
  const parts = [];
  for (let at = 0; ; ) {
    const length = bytes.readUInt32LE(at);
    if (length === 0 || length === 0xffffffff) {
      return { content: Buffer.concat(parts), isEnded: length === 0 };
    }
    parts.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
}

/** An engine that serves a bridge, and a place for a repository. */
async function spawned(t) {
  const path = join(await folder(t), 'repo');
  const bridge = new RustBridge({ binaryName: 'containerarchive', binaryPath: BINARY, requestTimeoutMs: 20_000 });
  assert.equal(await bridge.spawn(), true);
  t.after(() => bridge.kill());
  return { path, bridge, call: (method, params = {}) => bridge.sendCommand(method, params) };
}

test('the RustBridge of smartrust drives the engine', async (t) => {
  const { path, bridge, call } = await spawned(t);
  const events = [];
  bridge.on('management:ingest:complete', (event) => events.push(event));
  const made = await call('init', { path, passphrase: PASSPHRASE, kdf: KDF });
  assert.equal(made.encrypted, true);
  await call('close');
  await call('open', { path, passphrase: PASSPHRASE });
  const content = noise(1_000_000, 'bridge');
  const sent = await call('streamOpen');
  const ingest = call('ingest', { streamId: sent.streamId, items: [{ name: 'a', type: 'b' }] });
  connect(sent.path).end(framed(content));
  const snapshot = await ingest;
  assert.equal(snapshot.originalSize, content.length);
  assert.equal(events[0].snapshotId, snapshot.id);
  const received = await call('streamOpen');
  const restore = bridge.sendCommandStreaming('restore', { id: snapshot.id, streamId: received.streamId });
  const parts = [];
  const socket = connect(received.path).on('data', (part) => parts.push(part));
  const closed = once(socket, 'close');
  for await (const progress of restore) {
    assert.equal(progress.operation, 'restore');
  }
  assert.equal((await restore.result).bytes, content.length);
  await closed;
  const { content: restored, isEnded } = unframed(Buffer.concat(parts));
  assert.ok(isEnded && restored.equals(content));
  assert.equal((await call('listSnapshots')).snapshots[0].id, snapshot.id);
  assert.equal((await call('verify', { level: 'full' })).ok, true);
  assert.equal((await call('prune', { keepLast: 1, dryRun: false })).removedSnapshots, 0);
  await assert.rejects(call('getSnapshot', { id: 'ffffffffffff' }), /E_NOT_FOUND: /);
  await assert.rejects(call('nonsense'), /E_USAGE: /);
  await call('close');
});

/** An engine, spoken to by hand. */
async function raw(t) {
  const child = spawn(BINARY, ['engine'], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {});
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout });
  const messages = [];
  lines.on('line', (line) => {
    const message = JSON.parse(line);
    assert.equal(typeof message, 'object');
    assert.ok(line.length < 256 << 10);
    messages.push(message);
  });
  let last = 0;
  const next = async (isIt) => {
    for (;;) {
      const found = messages.find(isIt);
      if (found !== undefined) {
        messages.splice(messages.indexOf(found), 1);
        return found;
      }
      await once(lines, 'line');
    }
  };
  const send = (method, params) => {
    last += 1;
    const id = `h${last}`;
    child.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    return next((message) => message.id === id && message.success !== undefined);
  };
  const ready = await next(({ event }) => event === 'ready');
  return { child, next, send, ready: ready.data };
}

test('garbage, huge and half lines are errors, and the engine goes on', async (t) => {
  const engine = await raw(t);
  const error = () => engine.next(({ event }) => event === 'protocol:error');
  const garbage = ['nonsense', '42', 'null', '[]', '{}', '{"id":1,"method":"stats"}', '{"id":"","method":"stats"}', '\0\xff'];
  garbage.push(`{"id":"${'x'.repeat(200)}","method":"stats"}`, `${'['.repeat(100_000)}`, '{"id":"a","method":"stats","params":');
  for (const line of garbage) {
    engine.child.stdin.write(Buffer.from(`${line}\n`, 'latin1'));
    assert.match((await error()).data.error.code, /^E_USAGE$/);
  }
  engine.child.stdin.write(`\n\r\n   \n{"id":"huge","method":"stats","params":"`);
  for (let count = 0; count < 40; count += 1) {
    engine.child.stdin.write('x'.repeat(1 << 20));
  }
  engine.child.stdin.write('"}\n');
  assert.equal((await engine.next(({ id }) => id === 'huge')).errorInfo.code, 'E_USAGE');
  for (const params of [42, null, [], 'x', { unknown: 1 }]) {
    const reply = await engine.send('stats', params);
    assert.equal(reply.success, false);
  }
  assert.match((await engine.send('constructor', {})).error, /^E_USAGE: there is no method/);
  const half = '{"id":"half","method":"streamOpen","params":{}}\n';
  engine.child.stdin.write(half.slice(0, 20));
  setTimeout(() => engine.child.stdin.write(half.slice(20)), 50);
  assert.equal((await engine.next(({ id }) => id === 'half')).success, true);
  engine.child.stdin.end('{"id":"cut');
  assert.equal((await once(engine.child, 'exit'))[0], 0);
});

test('hostile frames, wrong ends and senders that go away make no snapshot', async (t) => {
  const engine = await raw(t);
  const path = join(await folder(t), 'repo');
  assert.equal((await engine.send('init', { path, passphrase: PASSPHRASE, kdf: KDF })).success, true);
  const content = noise(200_000, 'hostile');
  const hostile = {
    nothing: Buffer.alloc(0),
    'no end': framed(content, Buffer.alloc(0)),
    'wrong count': framed(content, end(content.length - 1)),
    'half an end': framed(content, end(content.length).subarray(0, 9)),
    'half a frame': framed(content).subarray(0, 1000),
    'huge frame': Buffer.concat([u32(0xfffffffe), content]),
    'given up': Buffer.concat([u32(0xffffffff), u32(4), Buffer.from('stop')]),
    'given up at length': Buffer.concat([u32(0xffffffff), u32(0xfffffff0), content]),
    noise: noise(50_000, 'frames'),
  };
  for (const [what, bytes] of Object.entries(hostile)) {
    const { result } = await engine.send('streamOpen', {});
    const ingest = engine.send('ingest', { streamId: result.streamId });
    connect(result.path).on('error', () => {}).end(bytes);
    const reply = await ingest;
    assert.equal(reply.success, false, what);
    assert.equal(reply.errorInfo.code, 'E_SOURCE', what);
  }
  assert.equal((await engine.send('ingest', { streamId: '../../etc' })).errorInfo.code, 'E_USAGE');
  await assertQuiet(path, 0);
  assert.equal((await engine.send('shutdown', {})).success, true);
  assert.equal((await once(engine.child, 'exit'))[0], 0);
});

test('sockets are in a folder of the owner alone, and are gone after use and after the end', async (t) => {
  const engine = await raw(t);
  const { result } = await engine.send('streamOpen', {});
  assert.equal(dirname(result.path), engine.ready.socketFolder);
  assert.equal((await stat(engine.ready.socketFolder)).mode & 0o777, 0o700);
  assert.ok(result.path.length < 104);
  engine.child.kill('SIGTERM');
  await once(engine.child, 'exit');
  await assert.rejects(stat(engine.ready.socketFolder), { code: 'ENOENT' });
});

test('the folder of an engine that was killed is removed by the next one', async (t) => {
  const killed = await raw(t);
  const living = await raw(t);
  await killed.send('streamOpen', {});
  killed.child.kill('SIGKILL');
  await once(killed.child, 'exit');
  // Those of the last minute stay: they may be in the making.
  for (const { ready } of [killed, living]) {
    await utimes(join(ready.socketFolder, 'engine.lock'), 0, 0);
  }
  const next = await raw(t);
  await assert.rejects(stat(killed.ready.socketFolder), { code: 'ENOENT' });
  await stat(living.ready.socketFolder);
  for (const { child } of [living, next]) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
});

test('pages of snapshots go on where they ended, also when snapshots go meanwhile', async (t) => {
  const { path, call } = await spawned(t);
  await call('init', { path, passphrase: PASSPHRASE, kdf: KDF });
  const tags = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`tag-${index}`, 'x'.repeat(1000)]));
  const stored = [];
  for (let day = 0; day < 24; day += 1) {
    const { streamId, path: socket } = await call('streamOpen');
    // Two of each moment.
    const time = new Date(Date.UTC(2024, 0, 1 + (day >> 1))).toISOString();
    const ingest = call('ingest', { streamId, items: [{ name: 'a', type: 'b' }], tags, time });
    connect(socket).end(framed(Buffer.from(`day ${day}`)));
    stored.push((await ingest).id);
  }
  const listed = [];
  const gone = [];
  for (let cursor; cursor !== null;) {
    const page = await call('listSnapshots', { cursor });
    listed.push(...page.snapshots.map(({ id }) => id));
    gone.push(listed.at(-1));
    await call('forget', { ids: [listed.at(-1)] });
    cursor = page.cursor;
  }
  assert.ok(gone.length >= 3, `${gone.length} pages`);
  assert.equal(listed.length, stored.length);
  assert.deepEqual([...listed].sort(), [...stored].sort());
  assert.equal((await call('listSnapshots', { after: '2024-01-12' })).snapshots.length, 1);
  for (const cursor of ['', stored[0], '12', '12.', `x.${stored[0]}`, `1.${stored[0]}0`]) {
    await assert.rejects(call('listSnapshots', { cursor }), /E_USAGE: .*cursor/);
  }
  await call('close');
});
