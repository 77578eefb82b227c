// A dump that another program makes: node dump.js REPOSITORY COMMAND [ARGUMENT…], as in `dump.js /backup/db pg_dump shop`.
// If the program fails, whatever it printed before, there is no snapshot.
import { spawn } from 'node:child_process';
import { ContainerArchive, SourceError } from 'containerarchive';

const [path = '', command = '', ...words] = process.argv.slice(2);
const repo = await ContainerArchive.open(path, { passphrase: process.env['BACKUP_PASSPHRASE'] ?? '' });
try {
  const dump = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  const snapshot = await repo.ingest(dump, { series: 'shop', items: [{ name: 'shop.sql', type: 'postgres' }] });
  console.log(`snapshot ${snapshot.id}: ${snapshot.originalSize} bytes`);
} catch (error) {
  if (!(error instanceof SourceError)) {
    throw error;
  }
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await repo.close();
}
