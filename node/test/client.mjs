// A client of its own, to be killed: node client.mjs REPOSITORY PASSPHRASE still|flowing|forget
import { readdirSync, readFileSync } from 'node:fs';

import { ContainerArchive } from '../dist/index.js';

const [path, passphrase, what] = process.argv.slice(2);
const repo = await ContainerArchive.open(path, { passphrase });

function engine() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .find((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid;
      } catch {
        return false;
      }
    });
}

async function* content() {
  for (let piece = 0; ; piece += 1) {
    yield Buffer.alloc(100_000, piece);
    if (what === 'still') {
      setInterval(() => {}, 1_000);
      await new Promise(() => {});
    }
  }
}

if (what !== 'forget') {
  console.log(engine());
  await repo.ingest(content());
}
