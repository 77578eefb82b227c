// Writes src/protocol.ts from docs/rpc.schema.json; with --check, fails if it is not what stands there.
import { readFile, writeFile } from 'node:fs/promises';
import { compile } from 'json-schema-to-typescript';

const SCHEMA = new URL('../../docs/rpc.schema.json', import.meta.url);
const TARGET = new URL('../src/protocol.ts', import.meta.url);

const schema = JSON.parse(await readFile(SCHEMA, 'utf8'));
const generated = await compile(schema, 'Protocol', {
  additionalProperties: false,
  bannerComment: '// Written by `npm run generate` from docs/rpc.schema.json. What is changed here is lost.',
  format: true,
  // The two sizes of a fixed list would otherwise be spelled out as unions.
  ignoreMinAndMaxItems: false,
  style: { singleQuote: true, printWidth: 120 },
});
const codes = schema.properties.errorCode.enum.map((code) => `  '${code}',\n`).join('');
const text = `${generated}
/** The codes that the engine gives errors. */
export const ERROR_CODES = [
${codes}] as const;
`;
if (process.argv.includes('--check')) {
  const stored = await readFile(TARGET, 'utf8').catch(() => '');
  if (stored !== text) {
    console.error('src/protocol.ts is not what the schema says: run `npm run generate`');
    process.exitCode = 1;
  }
} else {
  await writeFile(TARGET, text);
}
