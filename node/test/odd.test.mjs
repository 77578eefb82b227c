// Arguments and sources that nobody means: every call is answered, with what was asked for or with an error that has a
// code, and the next call works.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { ContainerArchive, ContainerArchiveError } from '../dist/index.js';
import { KDF, PASSPHRASE, assertQuiet, children, collect, folder, noise, pieces, repository, until } from './tools.mjs';

/** Asserts that a call rejects with an error of this package, soon. */
async function rejects(promise, code, what) {
  const late = sleep(10_000, undefined, { ref: false }).then(() => assert.fail(`${what} was not answered`));
  await assert.rejects(Promise.race([promise, late]), (error) => {
    assert.ok(error instanceof ContainerArchiveError, `${what}: ${error.stack}`);
    assert.equal(error.code, code, `${what}: ${error.stack}`);
    return true;
  });
}

const one = () => pieces(Buffer.from('one'));

test('names of items that cannot be restored are refused, and all others come back as they are', async (t) => {
  const { repo } = await repository(t);
  const names = ['a/b/c.sql', 'Größe – 数据 🗄.sql', ' ', '-', 'a=b', 'x'.repeat(255), `${'y'.repeat(200)}/`.repeat(20) + 'z'];
  for (const name of names) {
    const snapshot = await repo.ingest(one(), { items: [{ name, type: 'dump' }] });
    assert.deepEqual(snapshot.items, [{ name, type: 'dump', size: 3 }]);
    assert.equal((await collect(repo.restore(snapshot.id, { item: name }))).toString(), 'one');
  }
  const wrong = ['', '/', '/absolute', '..', 'a/../b', 'a//b', 'a\0b', '\ud800', 'x'.repeat(4_097), 5, null, undefined];
  for (const name of wrong) {
    await rejects(repo.ingest(one(), { items: [{ name, type: 'dump' }] }), 'E_USAGE', `the name ${name}`);
  }
  const twice = [1, 2].map(() => ({ stream: one(), name: 'same' }));
  await rejects(repo.ingestMulti(twice), 'E_USAGE', 'one name for two');
  await rejects(repo.ingest(one(), { items: [{ name: 'a' }, { name: 'b' }] }), 'E_USAGE', 'two items of one stream');
  assert.deepEqual((await repo.ingest(one(), { items: [] })).items, [{ name: 'data', type: 'stream', size: 3 }]);
  for (const call of ['ingestMulti', 'ingestPath', 'ingestCommand']) {
    await rejects(repo[call]([]), 'E_USAGE', `${call} of nothing`);
  }
  assert.equal((await repo.listSnapshots()).length, names.length + 1);
});

test('tags may hold anything that is text, and are compared whole', async (t) => {
  const { repo } = await repository(t);
  const tags = { 'a': 'b=c', 'ключ': '值', 'empty': '', '__proto__x': 'y' };
  const { id } = await repo.ingest(one(), { tags, series: 'Größe=1' });
  assert.deepEqual((await repo.getSnapshot(id)).tags, tags);
  for (const [key, value] of Object.entries(tags)) {
    assert.deepEqual((await repo.listSnapshots({ tags: { [key]: value } })).map((found) => found.id), [id]);
  }
  assert.deepEqual(await repo.listSnapshots({ tags: { a: 'b' } }), []);
  assert.equal((await repo.listSnapshots({ series: 'Größe=1', tags: {} })).length, 1);
  const circular = {};
  circular.self = circular;
  for (const wrong of [{ a: 1 }, { a: null }, { a: 1n }, { a: circular }, ['a'], 'a=b', { a: '\udfff' }]) {
    await rejects(repo.ingest(one(), { tags: wrong }), 'E_USAGE', 'tags');
    await rejects(repo.listSnapshots({ tags: wrong }), 'E_USAGE', 'tags');
  }
  for (const value of ['one\ntwo', 'x'.repeat(5_000), 'x'.repeat(17 << 20)]) {
    await rejects(repo.ingest(one(), { tags: { a: value } }), 'E_USAGE', `a tag of ${value.length} bytes`);
  }
  assert.equal((await repo.listSnapshots()).length, 1);
});

test('sources that are odd are stored whole or not at all', async (t) => {
  const { repo, path } = await repository(t);
  async function* mixed() {
    yield 'text ';
    yield new Uint8Array([0xc3]);
    yield new Uint8Array(0);
    yield '';
    yield new Uint8Array([0xbc]).buffer;
    yield ' 🗄';
  }
  const objects = new PassThrough({ readableObjectMode: true });
  objects.end('objects');
  const bytes = { async *[Symbol.asyncIterator]() { yield Buffer.from('iterable'); } };
  const decoded = Readable.from(['dec', 'oded']).setEncoding('utf8');
  const whole = [
    [mixed(), 'text ü 🗄'],
    [bytes, 'iterable'],
    [objects, 'objects'],
    [decoded, 'decoded'],
    [new Blob([]), ''],
    [new Blob(['a', new Uint8Array([98])]), 'ab'],
    [new ReadableStream({ start: (controller) => controller.close() }), ''],
    [Readable.from([]), ''],
  ];
  for (const [source, text] of whole) {
    const { id, originalSize } = await repo.ingest(source);
    assert.equal((await collect(repo.restore(id))).toString(), text);
    assert.equal(originalSize, Buffer.byteLength(text));
  }
  const thrower = (where) => ({
    [Symbol.asyncIterator]: () => {
      if (where === 'iterator') throw new Error(where);
      return {
        next: () => {
          if (where === 'next') throw new Error(where);
          return where === 'nothing' ? Promise.resolve() : Promise.resolve({ done: false, value: where });
        },
        return: () => {
          throw new Error('return');
        },
      };
    },
  });
  const locked = new Blob(['x']).stream();
  locked.getReader();
  const odd = [
    [thrower('iterator'), 'E_SOURCE'], [thrower('next'), 'E_SOURCE'], [thrower('nothing'), 'E_SOURCE'],
    [thrower(5), 'E_SOURCE'], [thrower({}), 'E_SOURCE'], [thrower(null), 'E_SOURCE'],
    [locked, 'E_USAGE'], [['array'], 'E_USAGE'], [undefined, 'E_USAGE'], [7, 'E_USAGE'], [{}, 'E_USAGE'],
    [new Uint8Array(3), 'E_USAGE'], [Symbol('x'), 'E_USAGE'],
  ];
  for (const [index, [source, code]] of odd.entries()) {
    await rejects(repo.ingest(source), code, `odd source ${index}`);
  }
  // One that is good beside one that is not.
  const beside = Readable.from(pieces(noise(100_000, 'beside')));
  await rejects(repo.ingestMulti([{ stream: beside, name: 'a' }, { stream: 7, name: 'b' }]), 'E_USAGE', 'one of two');
  assert.ok(beside.destroyed);
  const same = Readable.from(['same']);
  await rejects(repo.ingestMulti([{ stream: same, name: 'a' }, { stream: same, name: 'b' }]), 'E_USAGE', 'one stream twice');
  await assertQuiet(path, whole.length);
});

test('the output of a child process that ends before it is asked for is stored whole, or refused if it is gone', async (t) => {
  const { repo, path } = await repository(t);
  process.kill((await children())[0].pid, 'SIGKILL');
  await until(async () => (await children()).length === 0, 'the engine ends');
  // Another engine has to start first, and the child does not wait for it.
  const quick = await repo.ingest(spawn('echo', ['quick']));
  assert.equal((await collect(repo.restore(quick.id))).toString(), 'quick\n');
  const content = 'x'.repeat(60_000);
  const ended = spawn('sh', ['-c', `head -c ${content.length} /dev/zero | tr '\\0' x`]);
  await once(ended, 'exit');
  // Whether it is refused or stored depends on how much Node has thrown away; never is a part of it a backup.
  await repo.ingest(ended).then(
    async ({ id }) => assert.equal((await collect(repo.restore(id))).toString(), content),
    (error) => assert.equal(error.code, 'E_USAGE'),
  );
  const gone = spawn('echo', ['gone']);
  await once(gone, 'close');
  await rejects(repo.ingest(gone), 'E_USAGE', 'a child that has ended');
  const begun = spawn('sh', ['-c', 'echo first; sleep 0.3; echo second']);
  await once(begun.stdout, 'data');
  await rejects(repo.ingest(begun), 'E_USAGE', 'a child of which somebody read');
  begun.kill();
  const failed = spawn('sh', ['-c', 'exit 3']);
  await once(failed, 'exit');
  await assert.rejects(repo.ingest(failed), ContainerArchiveError);
  await rejects(repo.ingest(spawn('true', { stdio: 'ignore' })), 'E_USAGE', 'a child without output');
  const { length } = await repo.listSnapshots();
  await assertQuiet(path, length);
});

test('times are dates or texts, and others are refused', async (t) => {
  const { repo } = await repository(t);
  for (const day of [1, 2, 3]) {
    await repo.ingest(one(), { time: new Date(Date.UTC(2024, 0, day)) });
  }
  const listed = async (options) => (await repo.listSnapshots(options)).length;
  const times = [new Date('2024-01-02T00:00:00Z'), '2024-01-02T00:00:00Z', '2024-01-02T01:00:00+01:00', '2024-01-02T00:00:00.000Z'];
  for (const time of times) {
    assert.deepEqual([await listed({ after: time }), await listed({ before: time })], [2, 1], `${time}`);
  }
  assert.equal(await listed({ after: times[1], before: times[1] }), 0);
  assert.equal(await listed({ after: '2024-01-03T00:00:00Z', before: '2024-01-01T00:00:00Z' }), 0);
  for (const wrong of [new Date(NaN), 'yesterday', '', 5, {}, '2024-13-01']) {
    await rejects(repo.listSnapshots({ after: wrong }), 'E_USAGE', `after ${wrong}`);
    await rejects(repo.listSnapshots({ before: wrong }), 'E_USAGE', `before ${wrong}`);
    await rejects(repo.ingest(one(), { time: wrong }), 'E_USAGE', `time ${wrong}`);
  }
});

test('a prune with numbers that are none removes nothing', async (t) => {
  const { repo } = await repository(t);
  for (const day of [1, 2, 3]) {
    await repo.ingest(one(), { time: new Date(Date.UTC(2024, 0, day)), series: 'db' });
  }
  for (const name of ['keepLast', 'keepHours', 'keepDays', 'keepWeeks', 'keepMonths', 'keepYears']) {
    for (const wrong of [-1, NaN, Infinity, -Infinity, 1.5, '7', 2 ** 32, 1n, true, {}]) {
      await rejects(repo.prune({ keepLast: 1, [name]: wrong }), 'E_USAGE', `${name}: ${wrong}`);
    }
  }
  for (const wrong of [{ keepWithin: '5 suns' }, { keepWithin: 5 }, { groupBy: 'moon' }, { timeZone: 'Mars/Base' }, { keepTags: 5 }]) {
    await rejects(repo.prune({ keepLast: 1, ...wrong }), 'E_USAGE', JSON.stringify(wrong));
  }
  await rejects(repo.prune({}, 'yes'), 'E_USAGE', 'a dry run that is a text');
  assert.equal((await repo.listSnapshots()).length, 3);
  // A rule that keeps nothing is no rule.
  assert.equal((await repo.prune({ keepDays: 0 })).removedSnapshots, 0);
  assert.equal((await repo.prune({ keepDays: 0, keepLast: 1 })).removedSnapshots, 2);
});

test('snapshots and items that are not there, and ids that are none, are errors of every call', async (t) => {
  const { repo } = await repository(t);
  for (const id of ['latest', 'ffffffffffff']) {
    await rejects(repo.getSnapshot(id), 'E_NOT_FOUND', id);
    await rejects(collect(repo.restore(id)), 'E_NOT_FOUND', id);
  }
  const { id } = await repo.ingest(one(), { items: [{ name: 'x' }] });
  for (const [wrong, code] of [['', 'E_USAGE'], ['xyz', 'E_USAGE'], ['../x', 'E_USAGE'], [undefined, 'E_USAGE'],
    [null, 'E_USAGE'], [5, 'E_USAGE'], ['latest~1', 'E_NOT_FOUND'], ['f'.repeat(32), 'E_NOT_FOUND'], [`${id}0`, 'E_USAGE']]) {
    await rejects(repo.getSnapshot(wrong), code, `get ${wrong}`);
    await rejects(collect(repo.restore(wrong)), code, `restore ${wrong}`);
    await rejects(collect(repo.restoreWeb(wrong)), code, `restoreWeb ${wrong}`);
    await rejects(repo.restoreToPath(wrong, await folder(t)), code, `restoreToPath ${wrong}`);
    await rejects(repo.forget([wrong]), code, `forget ${wrong}`);
  }
  for (const item of ['', 'y', '../x', 'x/']) {
    await rejects(collect(repo.restore(id, { item })), 'E_NOT_FOUND', `item ${item}`);
    await rejects(collect(repo.restore('latest', { item })), 'E_NOT_FOUND', `latest item ${item}`);
    await rejects(repo.restoreToPath(id, await folder(t), { item }), 'E_NOT_FOUND', `item ${item}`);
  }
  await rejects(repo.verify({ level: 'deep' }), 'E_USAGE', 'a level');
  await rejects(repo.verify({ levle: 'full' }), 'E_USAGE', 'an option');
  await rejects(repo.status({ maxAge: 'old' }), 'E_USAGE', 'an age');
  assert.equal((await repo.listSnapshots()).length, 1);
});

test('null for options, and signals that are none, are refused before anything happens', async (t) => {
  const { repo, path } = await repository(t);
  const { id } = await repo.ingest(one());
  for (const signal of [5, {}, 'abort']) {
    const source = Readable.from(pieces(noise(10_000, 'signal')));
    await rejects(repo.ingest(source, { signal }), 'E_USAGE', 'a signal');
    assert.ok(source.destroyed);
    await rejects(repo.verify({ signal }), 'E_USAGE', 'a signal');
    await rejects(repo.listSnapshots({ signal }), 'E_USAGE', 'a signal');
    await rejects(collect(repo.restore(id, { signal })), 'E_USAGE', 'a signal');
  }
  const source = Readable.from(['null']);
  await rejects(repo.ingest(source, null), 'E_USAGE', 'ingest');
  assert.ok(source.destroyed);
  for (const streams of [null, undefined, 5, [null], {}]) {
    await rejects(repo.ingestMulti(streams), 'E_USAGE', 'ingestMulti');
    await rejects(repo.ingestPath(streams), 'E_USAGE', 'ingestPath');
  }
  for (const call of ['verify', 'prune', 'repair', 'unlock', 'status', 'listSnapshots', 'stats', 'reindex', 'info']) {
    await rejects(repo[call](null), 'E_USAGE', call);
  }
  await rejects(collect(repo.restore(id, null)), 'E_USAGE', 'restore');
  await rejects(ContainerArchive.open(path, null), 'E_USAGE', 'open');
  await rejects(ContainerArchive.open(path, { binary: 5 }), 'E_USAGE', 'binary');
  for (const wrong of [undefined, null, 5, '']) {
    await rejects(ContainerArchive.open(wrong), wrong === '' ? 'E_NO_REPOSITORY' : 'E_USAGE', `open ${wrong}`);
  }
  await assertQuiet(path, 1);
});

test('a passphrase from a variable that is not set makes no repository without encryption', async (t) => {
  const path = join(await folder(t), 'repo');
  for (const options of [{ passphrase: undefined }, { passphrase: null }, { keyFile: undefined }, { passphrase: undefined, keyFile: undefined }]) {
    await rejects(ContainerArchive.init(path, options), 'E_USAGE', JSON.stringify(options));
  }
  const repo = await ContainerArchive.init(path, { passphrase: PASSPHRASE, keyFile: undefined, kdf: KDF });
  await repo.close();
  await rejects(ContainerArchive.open(path), 'E_KEY', 'encrypted');
});

test('keys that are wrong, empty or missing open nothing, and leave no process', async (t) => {
  const { path } = await repository(t);
  const before = (await children()).length;
  for (const [options, code] of [[{}, 'E_KEY'], [{ passphrase: '' }, 'E_KEY'], [{ passphrase: `${PASSPHRASE} ` }, 'E_KEY'],
    [{ passphrase: 5 }, 'E_USAGE'], [{ keyFile: '/no/such/file' }, 'E_KEY'], [{ passphrase: PASSPHRASE, keyFile: '/x' }, 'E_USAGE']]) {
    await rejects(ContainerArchive.open(path, options), code, JSON.stringify(options));
  }
  const place = await folder(t);
  const settings = [{ compression: 'lzma' }, { compression: 'zstd:99' }, { parity: '0+1' }, { parity: 'much' }, { packSize: 1 },
    { packSize: NaN }, { packSize: -5 }, { chunkSize: [1, 2, 3] }, { chunkSize: [1] }, { chunkSize: 65536 }, { kdf: 'x' }, { what: 1 }];
  for (const [index, wrong] of settings.entries()) {
    const init = ContainerArchive.init(join(place, `${index}`), { passphrase: PASSPHRASE, kdf: KDF, ...wrong });
    await rejects(init, 'E_USAGE', JSON.stringify(wrong));
  }
  assert.equal((await children()).length, before);
});

test('after close every call rejects with a code, and sources are let go of', async (t) => {
  const { repo } = await repository(t);
  const { id } = await repo.ingest(one());
  await Promise.all([repo.close(), repo.close()]);
  await repo.close();
  await repo[Symbol.asyncDispose]();
  const calls = ['listSnapshots', 'verify', 'prune', 'repair', 'reindex', 'unlock', 'stats', 'status', 'info'];
  for (const call of calls) {
    await rejects(repo[call](), 'E_CANCELLED', call);
  }
  await rejects(repo.getSnapshot(id), 'E_CANCELLED', 'getSnapshot');
  await rejects(repo.forget([id]), 'E_CANCELLED', 'forget');
  await rejects(repo.ingestPath(['/x']), 'E_CANCELLED', 'ingestPath');
  await rejects(repo.ingestCommand([{ name: 'a', command: 'true' }]), 'E_CANCELLED', 'ingestCommand');
  await rejects(repo.restoreToPath(id, '/tmp/nowhere'), 'E_CANCELLED', 'restoreToPath');
  await rejects(collect(repo.restore(id)), 'E_CANCELLED', 'restore');
  await rejects(collect(repo.restoreWeb(id)), 'E_CANCELLED', 'restoreWeb');
  const source = Readable.from(pieces(noise(10_000, 'closed')));
  await rejects(repo.ingest(source), 'E_CANCELLED', 'ingest');
  assert.ok(source.destroyed);
  const child = spawn('sleep', ['60']);
  await rejects(repo.ingestMulti([{ stream: child, name: 'a' }]), 'E_CANCELLED', 'ingestMulti');
  await once(child, 'exit');
  let isTold = false;
  const subscription = repo.on('ingest:progress', () => (isTold = true));
  assert.ok(subscription.closed && !isTold);
  assert.deepEqual(await children(), []);
});
