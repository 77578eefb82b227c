// What goes wrong: no snapshot appears, no session and no process is left, the promise rejects with a code, and the
// next call works.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

import { ContainerArchive, SourceError } from '../dist/index.js';
import { PASSPHRASE, assertQuiet, children, cli, collect, folder, noise, pieces, repository, until } from './tools.mjs';

const CLIENT = fileURLToPath(new URL('./client.mjs', import.meta.url));

/** A source that yields some, and then stands still until it is left. */
async function* still(content) {
  yield content;
  await new Promise(() => {});
}

/** The engine's process, the only child of this one. */
async function enginePid() {
  const [engine] = (await children()).filter(({ state }) => state !== 'Z');
  return engine.pid;
}

test('a source that errors leaves no snapshot, and its error is the cause', async (t) => {
  const { repo, path } = await repository(t);
  const content = noise(1_500_000, 'errors');
  const broken = new Error('disk on fire');
  const sources = {
    generator: (async function* () {
      yield content;
      throw broken;
    })(),
    readable: new Readable({
      read() {
        this.push(content);
        this.destroy(broken);
      },
    }),
    web: new ReadableStream({
      start(controller) {
        controller.enqueue(content);
      },
      pull(controller) {
        controller.error(broken);
      },
    }),
  };
  for (const [kind, source] of Object.entries(sources)) {
    await assert.rejects(repo.ingest(source), (error) => {
      assert.ok(error instanceof SourceError, `${kind}: ${error.stack}`);
      assert.equal(error.code, 'E_SOURCE');
      assert.equal(error.cause, broken, kind);
      return true;
    });
  }
  await assertQuiet(path, 0);
  await repo.ingest(pieces(content));
  await assertQuiet(path, 1);
});

test('a stream that is destroyed before its end, errors before it is asked, or yields no bytes, is no backup', async (t) => {
  const { repo, path } = await repository(t);
  const destroyed = new PassThrough();
  destroyed.write('half');
  setTimeout(() => destroyed.destroy(), 50);
  await assert.rejects(repo.ingest(destroyed), { code: 'E_SOURCE' });
  const early = new PassThrough();
  const ingest = repo.ingest(early);
  early.destroy(new Error('early'));
  await assert.rejects(ingest, { code: 'E_SOURCE' });
  await assert.rejects(repo.ingest(Readable.from([{ a: 1 }])), { code: 'E_SOURCE' });
  const read = Readable.from(['all']);
  await collect(read.map((text) => Buffer.from(text)));
  for (const source of [read, Buffer.from('bytes'), 'text', null]) {
    await assert.rejects(repo.ingest(source), { code: 'E_USAGE' });
  }
  await assert.rejects(repo.ingestMulti([]), { code: 'E_USAGE' });
  await assertQuiet(path, 0);
});

test('a child process that fails after its output, is killed or cannot be started, is no backup', async (t) => {
  const { repo, path } = await repository(t);
  const failing = spawn('sh', ['-c', 'head -c 1000000 /dev/zero; echo no such table >&2; exit 3']);
  await assert.rejects(repo.ingest(failing), (error) => {
    assert.equal(error.code, 'E_SOURCE');
    assert.match(error.message, /exit code 3.*no such table/s);
    return true;
  });
  const killed = spawn('sh', ['-c', 'echo begun; sleep 60']);
  setTimeout(() => killed.kill('SIGKILL'), 200);
  await assert.rejects(repo.ingest(killed), { code: 'E_SOURCE', message: /SIGKILL/ });
  await assert.rejects(repo.ingest(spawn('/no/such/program')), { code: 'E_SOURCE' });
  // It closes its output and fails later.
  const late = spawn('sh', ['-c', 'echo done; exec >&-; sleep 0.3; exit 4']);
  await assert.rejects(repo.ingest(late), { code: 'E_SOURCE', message: /exit code 4/ });
  await assertQuiet(path, 0);
  // So much on the standard error that it would stand still if nobody read it.
  const loud = spawn('sh', ['-c', 'head -c 1000000 /dev/zero >&2; echo ok']);
  assert.equal((await collect(repo.restore((await repo.ingest(loud)).id))).toString(), 'ok\n');
});

test('an aborted signal ends an ingest, ends its child, and leaves nothing', async (t) => {
  const { repo, path } = await repository(t);
  const child = spawn('sh', ['-c', 'echo begun; exec sleep 60']);
  for (const source of [still(noise(3_000_000, 'abort')), child]) {
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('enough')), 200);
    const since = Date.now();
    await assert.rejects(repo.ingest(source, { signal: abort.signal }), (error) => {
      assert.equal(error.code, 'E_CANCELLED');
      assert.equal(error.name, 'AbortError');
      assert.equal(error.cause.message, 'enough');
      return true;
    });
    assert.ok(Date.now() - since < 5_000);
  }
  await until(() => child.signalCode !== null, 'the child ends');
  await assert.rejects(repo.ingest(pieces(Buffer.from('x')), { signal: AbortSignal.abort() }), { code: 'E_CANCELLED' });
  await assert.rejects(repo.ingestCommand([{ command: 'sleep 60', name: 'x' }], { signal: AbortSignal.timeout(200) }), {
    code: 'E_CANCELLED',
  });
  await assert.rejects(repo.verify({ signal: AbortSignal.abort() }), { code: 'E_CANCELLED' });
  await assertQuiet(path, 0);
  await repo.ingest(pieces(Buffer.from('next')));
});

test('one stream of several that fails ends the others', async (t) => {
  const { repo, path } = await repository(t);
  const failing = (async function* () {
    yield 'some';
    throw new Error('second');
  })();
  const streams = [
    { stream: still(noise(100_000, 'first')), name: 'a' },
    { stream: failing, name: 'b' },
  ];
  await assert.rejects(repo.ingestMulti(streams), { code: 'E_SOURCE', message: /second/ });
  await assertQuiet(path, 0);
});

test('a restore that is destroyed or aborted in the middle ends in the engine, too', async (t) => {
  const { repo, path } = await repository(t);
  const { id } = await repo.ingest(pieces(noise(8_000_000, 'destroyed')));
  const stream = repo.restore(id);
  await once(stream, 'readable');
  stream.destroy();
  await once(stream, 'close');
  const abort = new AbortController();
  const aborted = repo.restore(id, { signal: abort.signal });
  await once(aborted, 'readable');
  abort.abort();
  await assert.rejects(collect(aborted), { code: 'E_CANCELLED' });
  await assert.rejects(collect(repo.restore(id, { signal: AbortSignal.abort() })), { code: 'E_CANCELLED' });
  const web = repo.restoreWeb(id).getReader();
  await web.read();
  await web.cancel();
  await assertQuiet(path, 1);
  assert.equal((await collect(repo.restore(id))).length, 8_000_000);
});

test('an engine that is killed rejects what goes on, and the next call starts another', async (t) => {
  const { repo, path } = await repository(t);
  // More than may be on its way to a reader: else it all came before the engine was killed.
  const content = noise(16_000_000, 'killed');
  const { id } = await repo.ingest(pieces(content));
  const restored = repo.restore(id);
  await once(restored, 'readable');
  const ingest = repo.ingest(still(content));
  await sleep(200);
  process.kill(await enginePid(), 'SIGKILL');
  await assert.rejects(ingest, { code: 'E_ENGINE', retryable: true });
  await assert.rejects(collect(restored), { code: 'E_ENGINE' });
  await until(async () => (await children()).length === 0, 'no zombie is left');
  assert.match(cli(path, 'status').stdout, /./);
  assert.ok((await collect(repo.restore(id))).equals(content));
  assert.equal((await repo.listSnapshots()).length, 1);
  process.kill(await enginePid(), 'SIGTERM');
  await until(async () => (await children()).length === 0, 'the engine ends on SIGTERM');
  await repo.ingest(pieces(content));
  await assertQuiet(path, 2);
});

test('a client that is killed in the middle of an ingest leaves no session, no process and no socket', async (t) => {
  const { path } = await repository(t);
  for (const what of ['still', 'flowing']) {
    const client = spawn(process.execPath, [CLIENT, path, PASSPHRASE, what], { stdio: ['ignore', 'pipe', 'inherit'] });
    const engine = Number((await once(client.stdout, 'data'))[0].toString());
    await sleep(300);
    client.kill('SIGKILL');
    await once(client, 'exit');
    const isGone = () => {
      try {
        process.kill(engine, 0);
        return false;
      } catch {
        return true;
      }
    };
    await until(isGone, 'the engine ends');
    await assertQuiet(path, 0);
  }
});

test('close ends what goes on, is quiet the second time, and a process that forgets it can still exit', async (t) => {
  const { repo, path } = await repository(t);
  const { id } = await repo.ingest(pieces(noise(3_000_000, 'close')));
  const restored = repo.restore(id);
  await once(restored, 'readable');
  const ingest = assert.rejects(repo.ingest(still(Buffer.from('x'))), (error) => error.code !== undefined);
  const failed = new Promise((resolve) => restored.once('error', resolve));
  await sleep(100);
  await Promise.all([repo.close(), repo.close()]);
  await ingest;
  assert.equal((await failed).code, 'E_CANCELLED');
  await assert.rejects(repo.listSnapshots(), { code: 'E_CANCELLED' });
  assert.deepEqual(await children(), []);
  await assertQuiet(path, 1);
  const forgetful = spawn(process.execPath, [CLIENT, path, PASSPHRASE, 'forget'], { stdio: 'ignore' });
  const [code] = await once(forgetful, 'exit');
  assert.equal(code, 0);
});

test('no program, one that ends at once, and one that says nonsense, are errors that say so', async (t) => {
  const place = await folder(t);
  const path = join(place, 'repo');
  await assert.rejects(ContainerArchive.open(path, { binary: '/no/such/program' }), (error) => {
    assert.equal(error.code, 'E_BINARY');
    assert.match(error.message, /\/no\/such\/program/);
    return true;
  });
  for (const binary of ['/bin/false', '/bin/echo']) {
    await assert.rejects(ContainerArchive.open(path, { binary }), { code: 'E_ENGINE' });
  }
});
