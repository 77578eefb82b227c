// Storing and restoring: every kind of source, every option, and that what comes out is what went in.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';

import { ContainerArchive } from '../dist/index.js';
import { KDF, PASSPHRASE, collect, folder, noise, pieces, repository } from './tools.mjs';

test('every kind of source is stored and restored as it was', async (t) => {
  const { repo } = await repository(t);
  const content = noise(700_001, 'kinds');
  const sources = {
    readable: Readable.from(pieces(content)),
    web: new Blob([content]).stream(),
    generator: pieces(content),
    blob: new Blob([content]),
    text: (async function* () {
      yield content.toString('base64');
    })(),
    child: spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] }),
  };
  sources.child.stdin.end(content);
  for (const [kind, source] of Object.entries(sources)) {
    const snapshot = await repo.ingest(source);
    const restored = await collect(repo.restore(snapshot.id));
    assert.ok(restored.equals(kind === 'text' ? Buffer.from(content.toString('base64')) : content), kind);
  }
});

test('empty streams, single bytes and large pieces are stored and restored', async (t) => {
  const { repo } = await repository(t);
  for (const content of [Buffer.alloc(0), Buffer.from('x'), noise(5_000_000, 'large')]) {
    const snapshot = await repo.ingest(Readable.from([content]));
    assert.equal(snapshot.originalSize, content.length);
    assert.ok((await collect(repo.restore(snapshot.id))).equals(content));
  }
  const single = noise(3_000, 'single bytes');
  const snapshot = await repo.ingest(pieces(single, 1));
  assert.ok((await collect(repo.restore(snapshot.id))).equals(single));
});

test('a snapshot has every field, and finds its chunks again', async (t) => {
  const { repo } = await repository(t);
  const content = noise(2_000_000, 'fields');
  const options = { tags: { kind: 'dump' }, series: 'db', items: [{ name: 'a.sql', type: 'pg', size: content.length }] };
  const first = await repo.ingest(pieces(content), options);
  assert.match(first.id, /^[0-9a-f]{32}$/);
  assert.equal(first.version, 1);
  assert.ok(Math.abs(Date.now() - Date.parse(first.createdAt)) < 60_000);
  assert.deepEqual(first.tags, { kind: 'dump' });
  assert.equal(first.series, 'db');
  assert.deepEqual(first.items, [{ name: 'a.sql', type: 'pg', size: content.length }]);
  assert.equal(first.originalSize, content.length);
  assert.ok(first.storedSize >= content.length && first.chunkCount > 1);
  assert.equal(first.newChunks, first.chunkCount);
  const second = await repo.ingest(pieces(content), options);
  assert.equal(second.reusedChunks, second.chunkCount);
  assert.equal(second.newChunks, 0);
});

test('time, minSize and expectTail do what they do on the command line', async (t) => {
  const { repo } = await repository(t);
  const time = new Date('2024-02-29T12:00:00Z');
  const snapshot = await repo.ingest(pieces(Buffer.from('all done')), { time, minSize: 8, expectTail: 'done' });
  assert.equal(Date.parse(snapshot.createdAt), time.getTime());
  for (const options of [{ minSize: 9 }, { expectTail: 'complete' }]) {
    await assert.rejects(repo.ingest(pieces(Buffer.from('all done')), options), { code: 'E_SOURCE' });
  }
  await assert.rejects(repo.ingest(pieces(Buffer.from('x')), { time: new Date(NaN) }), { code: 'E_USAGE' });
  assert.equal((await repo.listSnapshots()).length, 1);
});

test('several streams are one snapshot, and items are restored alone or in order', async (t) => {
  const { repo } = await repository(t);
  const [a, b] = [noise(300_000, 'a'), noise(900_000, 'b')];
  const snapshot = await repo.ingestMulti(
    [
      { stream: pieces(b), name: 'b.tar', type: 'tar' },
      { stream: Readable.from(pieces(a, 1_000)), name: 'a.sql', type: 'pg', size: a.length },
    ],
    { tags: { all: 'yes' } },
  );
  const inOrder = snapshot.items.map(({ name }) => (name === 'a.sql' ? a : b));
  assert.ok((await collect(repo.restore(snapshot.id))).equals(Buffer.concat(inOrder)));
  assert.ok((await collect(repo.restore(snapshot.id, { item: 'a.sql' }))).equals(a));
  assert.ok((await collect(repo.restoreWeb('latest', { item: 'b.tar' }))).equals(b));
});

test('files and commands are stored, and items written to a folder, without passing through Node', async (t) => {
  const { repo } = await repository(t);
  const place = await folder(t);
  const content = noise(400_000, 'file');
  await writeFile(join(place, 'in.bin'), content);
  const file = await repo.ingestPath([{ path: join(place, 'in.bin'), name: 'in.bin' }]);
  assert.deepEqual(file.items, [{ name: 'in.bin', type: 'file', size: content.length }]);
  const command = await repo.ingestCommand([{ command: 'seq 10 | tail -n 2', name: 'seq' }]);
  assert.equal((await collect(repo.restore(command.id))).toString(), '9\n10\n');
  await assert.rejects(repo.ingestCommand([{ command: 'echo half; exit 3', name: 'x' }]), { code: 'E_SOURCE' });
  await assert.rejects(repo.ingestPath(['relative']), { code: 'E_USAGE' });
  const out = join(place, 'out');
  const result = await repo.restoreToPath(file.id, out);
  assert.equal(result.bytes, content.length);
  assert.ok((await readFile(join(out, 'in.bin'))).equals(content));
  await assert.rejects(repo.restoreToPath(file.id, out), (error) => error.code !== undefined);
  await repo.restoreToPath(file.id, out, { overwrite: true, item: 'in.bin' });
});

test('a restored stream works with pipe, pipeline, for await and destroy', async (t) => {
  const { repo } = await repository(t);
  const content = noise(3_000_000, 'stream');
  const { id } = await repo.ingest(pieces(content));
  assert.ok((await collect(repo.restore(id).pipe(new PassThrough()))).equals(content));
  const target = new PassThrough();
  const [, received] = await Promise.all([pipeline(await repo.restore(id), target), collect(target)]);
  assert.ok(received.equals(content));
  for await (const part of repo.restore(id)) {
    assert.ok(part.length > 0);
    break;
  }
  const destroyed = repo.restore(id);
  destroyed.destroy();
  await new Promise((resolve) => destroyed.once('close', resolve));
  await assert.rejects(collect(repo.restore('ffffffffffff')), { code: 'E_NOT_FOUND' });
  await assert.rejects(collect(repo.restore(id, { item: 'nothing' })), { code: 'E_NOT_FOUND' });
});

test('a hundred ingests at once finish and restore equal, though one of them is aborted', async (t) => {
  const { repo } = await repository(t);
  const shared = noise(600_000, 'shared');
  const contents = Array.from({ length: 100 }, (_, index) =>
    Buffer.concat([shared, noise(40_000 + index * 111, index), shared]),
  );
  const abort = new AbortController();
  async function* endless() {
    yield shared;
    yield shared;
    setTimeout(() => abort.abort(), 300);
    await new Promise(() => {});
  }
  const aborted = assert.rejects(repo.ingest(endless(), { signal: abort.signal }), { code: 'E_CANCELLED' });
  const snapshots = await Promise.all(contents.map((content) => repo.ingest(pieces(content))));
  await aborted;
  const restored = await Promise.all(snapshots.map(({ id }) => collect(repo.restore(id))));
  restored.forEach((content, index) => assert.ok(content.equals(contents[index]), `stream ${index}`));
  assert.equal((await repo.listSnapshots()).length, 100);
  const report = await repo.verify({ level: 'full' });
  assert.ok(report.ok);
});

test('init makes a repository where one was that is gone, and says that it was known', async (t) => {
  const path = join(await folder(t), 'repo');
  const first = await ContainerArchive.init(path, { passphrase: PASSPHRASE, kdf: KDF });
  await first.close();
  await rm(path, { recursive: true });
  const second = await ContainerArchive.init(path, { passphrase: PASSPHRASE, kdf: KDF });
  const snapshot = await second.ingest(new Blob(['content']));
  assert.equal((await collect(second.restore(snapshot.id))).toString(), 'content');
  await second.close();
  await assert.rejects(ContainerArchive.init(path, { passphrase: PASSPHRASE }), { code: 'E_EXISTS' });
});

test('init takes every setting, and open the same key', async (t) => {
  const place = await folder(t);
  const settings = { compression: 'zstd:5', parity: '8+2', packSize: 4 << 20, chunkSize: [16384, 65536, 262144] };
  const keyFile = join(place, 'key');
  const made = await ContainerArchive.init(join(place, 'a'), { keyFile, label: 'mine', ...settings });
  const info = await made.info();
  await made.close();
  const { compression, parity, packSize, chunkSize, encrypted } = info;
  assert.deepEqual({ compression, parity, packSize, chunkSize }, settings);
  assert.ok(encrypted);
  const again = await ContainerArchive.open(join(place, 'a'), { keyFile });
  assert.equal((await again.info()).repository, info.repository);
  await again[Symbol.asyncDispose]();
  const plain = await ContainerArchive.init(join(place, 'b'));
  assert.equal((await plain.info()).encrypted, false);
  await plain.close();
  await assert.rejects(ContainerArchive.init(join(place, 'b')), { code: 'E_EXISTS' });
  await assert.rejects(ContainerArchive.open(join(place, 'c')), { code: 'E_NO_REPOSITORY' });
  await assert.rejects(ContainerArchive.open(join(place, 'a'), { passphrase: PASSPHRASE, kdf: KDF }), { code: 'E_USAGE' });
  await assert.rejects(ContainerArchive.open(join(place, 'a'), { passphrase: 'wrong' }), { code: 'E_KEY' });
});
