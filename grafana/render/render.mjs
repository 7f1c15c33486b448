// Draws one dashboard: node render.mjs DASHBOARD.json PICTURE.png [key=value...]
//
// prometheus=URL (default http://127.0.0.1:9090), from=24h, to=now or Unix seconds, scrape=1m (the scrape interval),
// width=1600, chromium=PATH, and var-NAME=VALUE for variables. The time zone is that of the environment variable TZ.
// Beside the picture, drawn.json keeps the hash of the dashboard, by which a test knows a picture that is out of date.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const here = fileURLToPath(new URL('.', import.meta.url));
const [file, picture, ...rest] = process.argv.slice(2);
if (!file || !picture) {
  console.error('usage: node render.mjs DASHBOARD.json PICTURE.png [key=value...]');
  process.exit(2);
}
const given = Object.fromEntries(rest.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
const { prometheus = 'http://127.0.0.1:9090', chromium = 'chromium', width = '1600', ...asked } = given;

if (!existsSync(join(here, 'dist'))) {
  execFileSync('npx', ['vite', 'build'], { cwd: here, stdio: 'inherit' });
}
const source = readFileSync(file, 'utf8');
const dashboard = JSON.parse(source);
// As Grafana reads it: two dollars are one.
const provisioned = parse(readFileSync(join(here, '../provisioning/datasources/jelou.yaml'), 'utf8').replaceAll('$$', '$'));
const { exemplarTraceIdDestinations: destinations = [] } = provisioned.datasources.find(({ type }) => type === 'prometheus').jsonData;
const lines = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
const problems = [];
let drawn = false;
const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  try {
    if (url.pathname === '/dashboard.json') {
      response.end(JSON.stringify(dashboard));
    } else if (url.pathname === '/destinations.json') {
      response.end(JSON.stringify(destinations));
    } else if (url.pathname.startsWith('/api/')) {
      const answer = await fetch(prometheus + request.url);
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
    } else if (url.pathname === '/problem') {
      problems.push(url.searchParams.get('what'));
      response.end();
    } else if (url.pathname === '/done') {
      drawn = true;
      response.end();
    } else {
      const path = join(here, 'dist', url.pathname === '/' ? 'index.html' : url.pathname);
      if (!existsSync(path)) return response.writeHead(404).end();
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' });
      createReadStream(path).pipe(response);
    }
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const profile = mkdtempSync(join(tmpdir(), 'render-'));
const page = `http://127.0.0.1:${server.address().port}/?${new URLSearchParams({ ...asked, width })}`;
const browser = spawn(chromium, [
  '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--disable-background-networking',
  `--user-data-dir=${profile}`, `--window-size=${width},${lines * 38 + 60}`, '--virtual-time-budget=30000',
  `--screenshot=${picture}`, page,
], { stdio: ['ignore', 'ignore', 'pipe'] });
let said = '';
browser.stderr.on('data', (bytes) => { said += bytes; });
const status = await new Promise((resolve) => browser.on('exit', resolve));
server.close();
server.closeAllConnections();
rmSync(profile, { recursive: true, force: true });
if (status !== 0 || !drawn || problems.length > 0) {
  console.error([...problems, drawn ? '' : `the page was not drawn to its end\n${said}`].join('\n'));
  process.exit(1);
}

// Descriptions are in no picture: to mend one is no reason to draw again.
const shown = source.split('\n').filter((line) => !line.trimStart().startsWith('"description":')).join('\n').trimEnd();
const record = join(dirname(picture), 'drawn.json');
const drawings = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : {};
drawings[basename(picture)] = createHash('sha256').update(shown).digest('hex');
const sorted = Object.fromEntries(Object.entries(drawings).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(record, `${JSON.stringify(sorted, null, 2)}\n`);
