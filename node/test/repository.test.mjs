// Everything that is done with a repository besides storing and restoring, and what is told meanwhile.
import assert from 'node:assert/strict';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { collect, noise, pieces, repository } from './tools.mjs';

/** Overwrites some bytes of a pack. */
async function damage(path) {
  const names = await readdir(join(path, 'packs/data'), { recursive: true });
  const pack = join(path, 'packs/data', names.find((name) => name.endsWith('.pack')));
  const bytes = await readFile(pack);
  bytes.fill(0xaa, bytes.length >> 1, (bytes.length >> 1) + 100);
  await rm(pack);
  await writeFile(pack, bytes);
}

test('snapshots are listed by tags, series and time, and found by id', async (t) => {
  const { repo } = await repository(t);
  for (let day = 1; day <= 4; day += 1) {
    const tags = { parity: day % 2 === 0 ? 'even' : 'odd', kind: 'dump' };
    const time = new Date(Date.UTC(2024, 0, day));
    await repo.ingest(pieces(Buffer.from(`day ${day}`)), { tags, time, series: day > 2 ? 'late' : 'early' });
  }
  const days = async (options) => (await repo.listSnapshots(options)).map(({ createdAt }) => Number(createdAt.slice(8, 10)));
  assert.deepEqual(await days(), [1, 2, 3, 4]);
  assert.deepEqual(await days({ tags: { parity: 'even', kind: 'dump' } }), [2, 4]);
  assert.deepEqual(await days({ series: 'late' }), [3, 4]);
  assert.deepEqual(await days({ after: new Date('2024-01-02T00:00:00Z'), before: '2024-01-04T00:00:00Z' }), [2, 3]);
  const [first] = await repo.listSnapshots();
  assert.deepEqual(await repo.getSnapshot(first.id.slice(0, 12)), first);
  assert.match((await repo.getSnapshot('latest')).createdAt, /^2024-01-04/);
  await assert.rejects(repo.getSnapshot('0123456789ab'), { code: 'E_NOT_FOUND' });
});

test('lists that do not fit into one reply come whole', async (t) => {
  const { repo } = await repository(t);
  const tags = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`tag-${index}`, 'x'.repeat(200)]));
  for (let count = 0; count < 70; count += 1) {
    await repo.ingest(pieces(Buffer.from(`${count}`)), { tags });
  }
  const listed = await repo.listSnapshots();
  assert.equal(new Set(listed.map(({ id }) => id)).size, 70);
  const streams = Array.from({ length: 3000 }, (_, index) => ({ command: 'true', name: `${'long/'.repeat(20)}${index}` }));
  const many = await repo.ingestMulti(
    streams.slice(0, 900).map(({ name }) => ({ stream: pieces(Buffer.from(name)), name: `${name}${'y'.repeat(150)}` })),
  );
  assert.equal(many.items.length, 900);
  assert.equal((await repo.getSnapshot(many.id)).items.length, 900);
  assert.equal((await repo.listSnapshots({ series: many.series })).at(-1).items.length, 900);
});

test('verify finds damage, tells it as events, and repair mends it', async (t) => {
  const { repo, path } = await repository(t);
  const content = noise(2_000_000, 'verify');
  const { id } = await repo.ingest(pieces(content));
  for (const level of ['quick', 'standard', 'full', undefined]) {
    const { ok, errors, stats } = await repo.verify({ level });
    assert.ok(ok && errors.length === 0, level);
    assert.deepEqual(Object.keys(stats).filter((name) => name.endsWith('Checked')).sort(), [
      'chunksChecked', 'packsChecked', 'shardsChecked', 'snapshotsChecked',
    ]);
    assert.ok(level === 'quick' || stats.packsChecked > 0, level);
    assert.equal(stats.snapshotsChecked, 1);
  }
  await damage(path);
  const told = [];
  const subscription = repo.on('verify:error', (event) => told.push(event));
  const { ok, errors } = await repo.verify({ level: 'full' });
  assert.equal(ok, false);
  assert.ok(errors.length > 0 && errors.every(({ error, repairable }) => error.length > 0 && repairable));
  assert.ok(errors.some(({ pack }) => /^[0-9a-f]+$/.test(pack)));
  assert.ok(errors.some(({ snapshot, snapshots }) => snapshot === id && snapshots[0].id === id));
  assert.equal(told.length, errors.length);
  assert.equal(told[0].error, errors[0].error);
  subscription.unsubscribe();
  await repo.verify({ level: 'full' });
  assert.equal(told.length, errors.length);
  assert.ok((await collect(repo.restore(id))).equals(content));
  const repaired = await repo.repair();
  assert.equal(repaired.packsRepaired, 1);
  assert.deepEqual(repaired.unrepaired, []);
  assert.equal(typeof repaired.indexRebuilt, 'boolean');
  assert.equal(repaired.locksRemoved, 0);
  assert.ok((await repo.verify({ level: 'full' })).ok);
});

test('prune keeps what the rules say, and tells before what it would do', async (t) => {
  const { repo } = await repository(t);
  for (let day = 1; day <= 6; day += 1) {
    const time = new Date(Date.UTC(2024, 0, day, 12));
    await repo.ingest(pieces(noise(300_000, `day ${day}`)), { time, series: 'db', tags: { day: `${day}` } });
  }
  const plan = await repo.prune({ keepDays: 2, timeZone: 'UTC' }, true);
  assert.equal(plan.dryRun, true);
  assert.equal((await repo.listSnapshots()).length, 6);
  assert.equal((await repo.prune()).removedSnapshots, 0);
  const kept = await repo.prune({ keepLast: 1, keepDays: 2, keepTags: { day: '1' }, groupBy: 'series', timeZone: 'UTC' });
  assert.equal(kept.dryRun, false);
  assert.equal(kept.removedSnapshots, 3);
  assert.ok(kept.freedBytes > 500_000 && kept.removedPacks + kept.rewrittenPacks > 0);
  assert.deepEqual((await repo.listSnapshots()).map(({ tags }) => tags.day), ['1', '5', '6']);
  for (const { id, tags } of await repo.listSnapshots()) {
    assert.ok((await collect(repo.restore(id))).equals(noise(300_000, `day ${tags.day}`)));
  }
  const [{ id }] = await repo.listSnapshots();
  await repo.forget([id]);
  assert.equal((await repo.listSnapshots()).length, 2);
  await assert.rejects(repo.prune({ keepDay: 1 }), { code: 'E_USAGE', message: /keepDay/ });
});

test('reindex, unlock, stats, status and info', async (t) => {
  const { repo, path } = await repository(t);
  await repo.ingest(pieces(noise(500_000, 'stats')));
  const before = await repo.stats();
  assert.ok(JSON.stringify(before).length > 100);
  await rm(join(path, 'index'), { recursive: true });
  assert.ok(await repo.reindex());
  assert.ok((await repo.verify({ level: 'full' })).ok);
  assert.ok(await repo.unlock());
  assert.ok(await repo.unlock({ force: true }));
  assert.equal((await repo.status({ maxAge: '1h' })).ok, true);
  await repo.ingest(pieces(Buffer.from('old')), { time: new Date('2020-01-01T00:00:00Z'), series: 'old' });
  assert.equal((await repo.status({ maxAge: '1h' })).ok, false);
  assert.equal((await repo.info()).location, path);
});

test('progress goes up to a hundred and stays below until then; complete has the counts', async (t) => {
  const { repo } = await repository(t);
  const events = [];
  const completed = [];
  repo.on('ingest:progress', (event) => events.push(event));
  repo.on('ingest:complete', (event) => completed.push(event));
  const content = Buffer.concat(Array(8).fill(noise(4_000_000, 'progress')));
  async function* slow() {
    for await (const piece of pieces(content, 4_000_000)) {
      yield piece;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
  const snapshot = await repo.ingest(slow(), { items: [{ name: 'x', type: 'y', size: content.length }] });
  assert.ok(events.length >= 2);
  assert.deepEqual(Object.keys(events[0]).sort(), [
    'bytes', 'message', 'operation', 'percentage', 'rate', 'requestId', 'totalBytes',
  ]);
  const percentages = events.map(({ percentage }) => percentage);
  assert.deepEqual([...percentages].sort((a, b) => a - b), percentages);
  assert.ok(percentages.slice(0, -1).every((percentage) => percentage >= 0 && percentage <= 99));
  assert.equal(percentages.at(-1), 100);
  assert.equal(events.at(-1).operation, 'ingest');
  assert.equal(events.at(-1).bytes, content.length);
  const { requestId, snapshotId, ...counts } = completed[0];
  assert.equal(snapshotId, snapshot.id);
  const { originalSize, storedSize, chunkCount, newChunks, reusedChunks } = snapshot;
  assert.deepEqual(counts, { originalSize, storedSize, chunkCount, newChunks, reusedChunks });
  // The next one of the same series is measured by the size of this one.
  events.length = 0;
  await repo.ingest(slow(), { items: [{ name: 'x', type: 'y' }] });
  assert.ok(events.some(({ percentage }) => percentage > 0 && percentage < 100));
});
