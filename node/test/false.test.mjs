// A false engine, `liar.mjs`: whatever it says, the client rejects with a code, a restore never ends as if it were whole,
// and nothing is thrown at the host.
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ContainerArchive, ContainerArchiveError } from '../dist/index.js';
import { children, collect, folder, until } from './tools.mjs';

const LIAR = fileURLToPath(new URL('./liar.mjs', import.meta.url));
const { version: VERSION } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));

/** A repository of which the engine lies in one way. */
async function liar(t, lie, ready) {
  const place = await folder(t);
  const binary = join(place, 'liar');
  const sockets = join(place, 's');
  await mkdir(sockets);
  const words = [`LIAR_FOLDER='${sockets}'`, `LIAR_VERSION='${VERSION}'`, ...(ready ? [`LIAR_READY='${ready}'`] : [])];
  await writeFile(binary, `#!/bin/sh\n${words.map((word) => `export ${word}\n`).join('')}exec '${process.execPath}' '${LIAR}'\n`);
  await chmod(binary, 0o755);
  const repo = await ContainerArchive.open(lie, { binary });
  t.after(() => repo.close());
  return repo;
}

async function rejects(promise, code, what) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof ContainerArchiveError, `${what}: ${error.stack}`);
    assert.equal(error.code, code, `${what}: ${error.stack}`);
    return true;
  });
}

test('a restore that is cut off, has too much, or is not what the result says, never ends as if it were whole', async (t) => {
  assert.equal((await collect((await liar(t, 'right')).restore('x'))).length, 100_000);
  const lies = [
    'no end', 'nothing', 'half a frame', 'half an end', 'wrong count', 'shorter than the result',
    'other than the result', 'more after the end', 'huge frame', 'noise', 'empty result', 'null result', 'no stream',
  ];
  for (const lie of lies) {
    const repo = await liar(t, lie);
    let isEnded = false;
    const stream = repo.restore('x').on('end', () => (isEnded = true));
    await rejects(collect(stream), 'E_ENGINE', lie);
    await rejects(collect(repo.restoreWeb('x')), 'E_ENGINE', lie);
    assert.equal(isEnded, false, lie);
    await repo.close();
  }
});

test('a restore that stands still after its end, or after its result, is an error soon', async (t) => {
  await Promise.all(['no answer', 'left open'].map(async (lie) => {
    await rejects(collect((await liar(t, lie)).restore('x')), 'E_ENGINE', lie);
  }));
});

test('lines that are no answers, and answers without sense, reject what waits', async (t) => {
  const lies = {
    garbage: 'E_ENGINE', 'no object': 'E_ENGINE', 'a number': 'E_ENGINE', 'a huge line': 'E_ENGINE', bytes: 'E_ENGINE',
    'an end': 'E_ENGINE', 'no result': 'E_ENGINE', 'no reason': 'E_FAILED', 'odd reason': 'E_KEY', 'odd code': 'E_FAILED',
    'odd success': 'E_FAILED',
  };
  for (const [lie, code] of Object.entries(lies)) {
    const repo = await liar(t, lie);
    await rejects(repo.info(), code, lie);
    await repo.close();
  }
  await until(async () => (await children()).length === 0, 'no process is left');
});

test('a program that is ready and does not say what it is, or is another one, is refused', async (t) => {
  for (const ready of ['null', '5', '{}', '{"version":5,"protocol":1}', `{"version":"${VERSION}","protocol":"1"}`]) {
    await rejects(liar(t, 'right', ready), 'E_ENGINE', ready);
  }
  await rejects(liar(t, 'right', `{"version":"${VERSION}","protocol":2}`), 'E_BINARY', 'another protocol');
  await rejects(liar(t, 'right', '{"version":"77.0.0","protocol":1}'), 'E_BINARY', 'another version');
  const odd = await liar(t, 'right', `{"version":"${VERSION}","protocol":1,"socketFolder":5}`);
  await odd.close();
  await until(async () => (await children()).length === 0, 'no process is left');
});

test('an engine that never answers is given up after a minute of silence', async (t) => {
  const repo = await liar(t, 'silence');
  mock.timers.enable({ apis: ['setInterval'] });
  t.after(() => mock.timers.reset());
  const info = repo.info();
  let isSettled = false;
  info.catch(() => (isSettled = true));
  await new Promise(setImmediate);
  mock.timers.tick(50_000);
  await new Promise(setImmediate);
  assert.equal(isSettled, false);
  mock.timers.tick(10_000);
  await rejects(info, 'E_ENGINE', 'silence');
});
