// What the tests share.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ContainerArchive, findBinary } from '../dist/index.js';

/** The least that the engine takes: tests shall not wait for it. */
export const KDF = '19MiB,1,1';
export const PASSPHRASE = 'correct horse';
export const BINARY = findBinary();

process.on('unhandledRejection', (error) => {
  throw error;
});

/** An empty folder, removed after the test. */
export async function folder(t) {
  const made = await mkdtemp(join(tmpdir(), 'containerarchive-test-'));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** A new encrypted repository, closed after the test. */
export async function repository(t, options = {}) {
  const path = join(await folder(t), 'repo');
  const repo = await ContainerArchive.init(path, { passphrase: PASSPHRASE, kdf: KDF, ...options });
  t.after(() => repo.close());
  return { repo, path };
}

/** Bytes that look random and are the same for the same seed. */
export function noise(length, seed) {
  const parts = [];
  for (let made = 0, part = 0; made < length; made += 64, part += 1) {
    parts.push(createHash('sha512').update(`${seed}/${part}`).digest());
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** All that a stream yields. */
export async function collect(stream) {
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** In pieces. */
export async function* pieces(content, length = 50_000) {
  for (let begin = 0; begin < content.length; begin += length) {
    yield content.subarray(begin, begin + length);
  }
}

/** Waits until something is so. */
export async function until(isSo, what, patienceMs = 5_000) {
  for (const since = Date.now(); !(await isSo()); ) {
    assert.ok(Date.now() - since < patienceMs, `${what} within ${patienceMs} ms`);
    await sleep(20);
  }
}

/** Asserts that nothing is going on in a repository, soon, and how many snapshots there are. */
export async function assertQuiet(path, snapshots) {
  await until(async () => (await readdir(join(path, 'sessions')).catch(() => [])).length === 0, 'no session is left');
  const listed = cli(path, 'snapshots', '--json');
  assert.equal(JSON.parse(listed.stdout).snapshots.length, snapshots);
}

/** Runs the command line. */
export function cli(path, ...words) {
  const env = { ...process.env, CONTAINERARCHIVE_REPO: path, CONTAINERARCHIVE_PASSPHRASE: PASSPHRASE };
  const done = spawnSync(BINARY, words, { env, encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  return done;
}

/** Resident memory of a process at its highest, in bytes. */
export async function peakMemory(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)[1]) * 1024;
}

/** Processes that were started by this one. */
export async function children() {
  const found = [];
  for (const name of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(parent) === process.pid) {
      found.push({ pid: Number(name), state });
    }
  }
  return found;
}
