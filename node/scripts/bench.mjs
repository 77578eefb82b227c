// npm run bench [-- FILE [ROUNDS]]: the same file stored and restored by the command line and from Node, by turns.
import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { ContainerArchive, findBinary } from '../dist/index.js';

const PASSPHRASE = 'bench';
const NOISE_BYTES = 512 << 20;
const [given, rounds = '3'] = process.argv.slice(2);
const place = await mkdtemp(join(tmpdir(), 'containerarchive-bench-'));

async function noise(path) {
  const cipher = createCipheriv('aes-256-ctr', Buffer.alloc(32, 7), Buffer.alloc(16));
  const file = await open(path, 'w');
  for (let made = 0; made < NOISE_BYTES; made += 1 << 20) {
    await file.write(cipher.update(Buffer.alloc(1 << 20)));
  }
  await file.close();
  return path;
}

function cli(repo, words, target = '') {
  const env = { ...process.env, CONTAINERARCHIVE_REPO: repo, CONTAINERARCHIVE_PASSPHRASE: PASSPHRASE };
  const script = `set -o pipefail; "$0" "$@" ${target}`;
  const done = spawnSync('bash', ['-c', script, findBinary(), ...words], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  if (done.status !== 0) {
    throw new Error(`containerarchive ${words.join(' ')} ended with ${done.status}: ${done.stderr}`);
  }
}

const seconds = { 'cli ingest': [], 'node ingest': [], 'cli restore': [], 'node restore': [] };
async function measure(what, work) {
  // What others have left to be written is not paid for by this one.
  spawnSync('sync');
  const since = performance.now();
  await work();
  seconds[what].push((performance.now() - since) / 1e3);
}

try {
  const file = given ?? (await noise(join(place, 'noise')));
  const { size } = await stat(file);
  const sink = () => new Writable({ write: (_piece, _encoding, done) => done() });
  for (let round = 0; round < Number(rounds); round += 1) {
    const [one, other] = [join(place, `cli-${round}`), join(place, `node-${round}`)];
    cli(one, ['init']);
    await measure('cli ingest', () => cli(one, ['--quiet', 'ingest', file]));
    const archive = await ContainerArchive.init(other, { passphrase: PASSPHRASE });
    const source = createReadStream(file, { highWaterMark: 256 << 10 });
    await measure('node ingest', () => archive.ingest(source, { items: [{ name: 'file', type: 'file', size }] }));
    // Through a pipe, as from Node, and not into a file.
    await measure('cli restore', () => cli(one, ['--quiet', 'restore', 'latest', '--to', '-'], '| cat > /dev/null'));
    await measure('node restore', () => pipeline(archive.restore('latest'), sink()));
    await archive.close();
    await Promise.all([one, other].map((repo) => rm(repo, { recursive: true })));
  }
  const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const speed = (what) => size / 1e6 / median(seconds[what]);
  for (const what of ['ingest', 'restore']) {
    const [command, node] = [speed(`cli ${what}`), speed(`node ${what}`)];
    const share = ((100 * node) / command).toFixed(0);
    console.log(`${what}: command line ${command.toFixed(0)} MB/s, Node ${node.toFixed(0)} MB/s, ${share} %`);
  }
} finally {
  await rm(place, { recursive: true, force: true });
}
