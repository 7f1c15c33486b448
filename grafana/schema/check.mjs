// Checks every dashboard of a folder against the types that Grafana publishes: node check.mjs FOLDER, after npm install
// beside this file.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const here = fileURLToPath(new URL('.', import.meta.url));
const [folder] = process.argv.slice(2);

const schema = createGenerator({
  path: `${here}types.ts`, tsconfig: `${here}tsconfig.json`, type: 'Parts', skipTypeCheck: true,
  expose: 'none', topRef: false,
}).createSchema('Parts');
const ajv = new Ajv({ strict: false, allErrors: true });
const validators = Object.fromEntries(
  Object.entries(schema.properties).map(([name, part]) => [name, ajv.compile({ ...part, definitions: schema.definitions })]),
);

const faults = [];
function check(place, type, value) {
  const validate = validators[type];
  if (!validate) throw new Error(`${place}: ${type} is no type of types.ts`);
  if (validate(value)) return;
  for (const { instancePath, message, params } of validate.errors) {
    faults.push(`${place}${instancePath} ${message} ${params.additionalProperty ?? params.allowedValues ?? ''}`);
  }
}

// What the Prometheus data source reads of an annotation beside what every source does.
const OF_PROMETHEUS = ['titleFormat', 'textFormat', 'target'];
const without = (keys, value) => Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
const plain = (dashboard) => ({
  ...dashboard, annotations: { list: dashboard.annotations.list.map((one) => without(OF_PROMETHEUS, one)) },
});

function checkDashboard(name, dashboard) {
  check(name, 'dashboard', plain(dashboard));
  for (const panel of dashboard.panels.filter(({ type }) => type !== 'row')) {
    const place = `${name}: ${panel.title}`;
    check(place, 'panel', panel);
    check(`${place}: options`, panel.type, panel.options);
    const { custom } = panel.fieldConfig.defaults;
    if (custom && Object.keys(custom).length) check(`${place}: custom`, `${panel.type}Field`, custom);
  }
}

const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
for (const name of files) checkDashboard(name, read(name));
if (files.length === 0 || faults.length > 0) {
  console.error([`${faults.length} faults in ${files.length} dashboards`, ...faults].join('\n'));
  process.exit(1);
}

// A check that finds nothing wrong with this is no check.
const damaged = read(files[0]);
const panel = damaged.panels.find(({ type }) => type === 'timeseries');
panel.fieldConfig.defaults.custom.drawStyle = 'lines';
panel.options.legends = panel.options.legend;
checkDashboard('damaged', damaged);
if (!faults.some((fault) => fault.includes('drawStyle')) || !faults.some((fault) => fault.includes('legends'))) {
  console.error('the damage was not found:', faults);
  process.exit(1);
}
console.log(`${files.length} dashboards are as Grafana declares them`);
