// From a panel's queries to data frames, as Grafana's Prometheus data source makes them.
import { DataTopic, FieldType, rangeUtil, toDataFrame } from '@grafana/data';

const STEPS = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

const seconds = (text) => rangeUtil.intervalToSeconds(text);

// The range that a panel shows, the one that is asked for (of whole steps), and the values of the time variables in it.
export function timing(panel, page, width) {
  const span = panel.timeFrom ? seconds(panel.timeFrom) : page.span;
  const least = Math.max(seconds(panel.interval ?? '1s'), page.scrape);
  const wanted = Math.max(least, span / (panel.maxDataPoints ?? width));
  const step = STEPS.find((step) => step >= wanted) ?? wanted;
  const end = page.to - (panel.timeShift ? seconds(panel.timeShift) : 0);
  const to = Math.floor(end / step) * step;
  const variables = {
    __range: `${span}s`, __interval: `${step}s`, __rate_interval: `${Math.max(step + page.scrape, 4 * page.scrape)}s`,
  };
  return { from: to - Math.ceil(span / step) * step, to, step, variables, shown: { from: end - span, to: end } };
}

export function interpolate(text, variables) {
  return text.replace(/\$\{?(\w+)(:\w+)?\}?/g, (whole, name) => variables[name] ?? whole);
}

async function ask(path, parameters) {
  const answer = await (await fetch(`${path}?${new URLSearchParams(parameters)}`)).json();
  if (answer.status !== 'success') throw new Error(answer.error);
  return answer.data;
}

function legend(format, labels) {
  if (format) return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');
  return Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(', ') || 'Value';
}

// Numbers at every step, null where there is none: gaps are to be seen.
function onGrid(pairs, { from, to, step }) {
  const known = new Map(pairs.map(([at, value]) => [Math.round(at), Number(value)]));
  const times = [], values = [];
  for (let at = from; at <= to; at += step) {
    const value = known.get(at);
    times.push(at * 1000);
    values.push(value === undefined || Number.isNaN(value) ? null : value);
  }
  return { times, values };
}

function seriesFrame(target, labels, { times, values }) {
  const name = legend(target.legendFormat, labels);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: times, config: {} },
      { name: 'Value', type: FieldType.number, values, labels, config: { displayNameFromDS: name } },
    ],
  });
}

function tableFrame(target, rows) {
  const names = [...new Set(rows.flatMap(({ metric }) => Object.keys(metric)))];
  const column = (name) => ({
    name, type: FieldType.string, config: {}, values: rows.map(({ metric }) => metric[name] ?? ''),
  });
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ value }) => value[0] * 1000) },
      ...names.map(column),
      {
        name: `Value #${target.refId}`, type: FieldType.number, config: {},
        values: rows.map(({ value }) => (value[1] === 'NaN' ? null : Number(value[1]))),
      },
    ],
  });
}

// The frames of one query; of a heat map the raw matrix.
export async function frames(target, time, variables) {
  const query = interpolate(target.expr, { ...variables, ...time.variables });
  if (target.instant) {
    const { result } = await ask('/api/v1/query', { query, time: time.to });
    if (target.format === 'table') return result.length ? [tableFrame(target, result)] : [];
    return result.map(({ metric, value }) => seriesFrame(target, metric, { times: [value[0] * 1000], values: [Number(value[1])] }));
  }
  const { result } = await ask('/api/v1/query_range', { query, start: time.from, end: time.to, step: time.step });
  if (target.format === 'heatmap') return result;
  return result.map(({ metric, values }) => seriesFrame(target, metric, onGrid(values ?? [], time)));
}

// Conversations behind the numbers, as far as Prometheus keeps them: of each step only those that lie apart, the largest
// first, as Grafana thins them out.
export async function exemplars(target, time, variables) {
  const query = interpolate(target.expr, { ...variables, ...time.variables });
  const data = await ask('/api/v1/query_exemplars', { query, start: time.from, end: time.to });
  const all = data.flatMap((series) => series.exemplars)
    .map(({ timestamp, value, labels }) => ({ at: timestamp, value: Number(value), labels }));
  const mean = all.reduce((sum, { value }) => sum + value, 0) / all.length;
  const apart = 2 * Math.sqrt(all.reduce((sum, { value }) => sum + (value - mean) ** 2, 0) / all.length);
  const last = new Map();
  return all.sort((a, b) => b.value - a.value).filter(({ at, value }) => {
    const step = Math.floor(at / time.step);
    if (last.has(step) && last.get(step) - value < apart) return false;
    last.set(step, value);
    return true;
  });
}

// The frame of the dots, whose labels have links where the data source was given destinations.
export function framesOfDots(dots, destinations) {
  const names = [...new Set(dots.flatMap(({ labels }) => Object.keys(labels)))];
  const links = (of) => destinations.filter(({ name }) => name === of)
    .map(({ url, urlDisplayLabel }) => ({ title: urlDisplayLabel, url, targetBlank: true }));
  return dots.length === 0 ? [] : [toDataFrame({
    name: 'exemplar', meta: { dataTopic: DataTopic.Annotations },
    fields: [
      { name: 'Time', type: FieldType.time, values: dots.map(({ at }) => at * 1000), config: {} },
      { name: 'Value', type: FieldType.number, values: dots.map(({ value }) => value), config: {} },
      ...names.map((name) => ({
        name, type: FieldType.string, values: dots.map(({ labels }) => labels[name]), config: { links: links(name) },
      })),
    ],
  })];
}
