// One panel, by Grafana's own components.
import { useEffect, useState } from 'react';
import { map } from 'rxjs';
import {
  FieldMatcherID, FieldType, applyFieldOverrides, cacheFieldDisplayNames, dateTime, fieldMatchers, getFieldDisplayValues, transformDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, PanelChrome, TimeSeries } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { exemplars, frames, framesOfDots, interpolate, timing } from './prometheus.js';
import { registry } from './registry.js';
import { Heatmap } from './heatmap.jsx';

async function transformed(series, transformations) {
  if (!transformations?.length) return series;
  const context = { interpolate: (text) => text };
  return new Promise((resolve, reject) => {
    transformDataFrame(transformations, series, context).pipe(map(resolve)).subscribe({ error: reject });
  });
}

// Where the dots lead, by Grafana's own code. As there, the dots are annotations: no override of the panel reaches them.
function leads(dots, page) {
  const replaceVariables = (text, scoped) => {
    const { frame, field, rowIndex } = scoped?.__dataContext?.value ?? {};
    const inCell = frame ? text.replaceAll('${__value.raw}', () => field.values[rowIndex]) : text;
    return interpolate(inCell, page.variables);
  };
  const frames = applyFieldOverrides({
    data: framesOfDots(dots, page.destinations), fieldConfig: { defaults: {}, overrides: [] }, theme: page.theme,
    replaceVariables, fieldConfigRegistry: registry, timeZone: page.timeZone,
  });
  return frames.flatMap(({ fields }) => fields).flatMap((field) =>
    field.config.links?.length ? field.values.flatMap((id, valueRowIndex) => field.getLinks({ valueRowIndex }).map(({ href }) => ({ id, href }))) : []);
}

// What is wrong with them.
function faultOfDots(dots, page) {
  const found = leads(dots, page);
  if (found.length !== dots.length) return `${found.length} of ${dots.length} dots lead anywhere`;
  const lost = found.find(({ id, href }) => !id || href !== page.variables.conversation_url + id);
  return lost && `the dot of ${lost.id} leads to ${lost.href}`;
}

async function load(panel, page, width) {
  const time = timing(panel, page, width);
  const answers = await Promise.all(panel.targets.map((target) => frames(target, time, page.variables)));
  if (panel.type === 'heatmap') {
    const dots = await Promise.all(panel.targets.filter(({ exemplar }) => exemplar).map((target) => exemplars(target, time, page.variables)));
    const fault = faultOfDots(dots.flat(), page);
    if (fault) throw new Error(fault);
    return { time, raw: answers.flat(), dots: dots.flat() };
  }
  const data = applyFieldOverrides({
    data: await transformed(answers.flat(), panel.transformations), fieldConfig: panel.fieldConfig, theme: page.theme,
    replaceVariables: (text) => interpolate(text, page.variables), fieldConfigRegistry: registry, timeZone: page.timeZone,
  });
  cacheFieldDisplayNames(data);
  return { time, data };
}

const isEmpty = ({ raw, data }) => (raw ?? data).length === 0;

function Numbers({ panel, data, page, width, height }) {
  const values = getFieldDisplayValues({
    data, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text,
    theme: page.theme, timeZone: page.timeZone, sparkline: panel.options.graphMode === 'area',
  });
  if (panel.type === 'stat') {
    const [{ display, sparkline }] = values;
    return <BigValue {...{ width, height, theme: page.theme, value: { ...display, title: undefined }, sparkline }}
      colorMode="value" graphMode={panel.options.graphMode} textMode="value" justifyMode="auto" />;
  }
  const each = Math.min(40, height / values.length - 4);
  const longest = (key) => values.map(({ display }) => display[key] ?? '').reduce((a, b) => (b.length > a.length ? b : a), '');
  const alignmentFactors = { title: longest('title'), text: longest('text'), suffix: longest('suffix') };
  return values.map(({ display, field, view, colIndex }, at) => (
    <div key={at} style={{ height: each + 4 }}>
      <BarGauge {...{ width, height: each, theme: page.theme, value: display, field, alignmentFactors }}
        display={view?.getFieldDisplayProcessor(colIndex)} orientation="horizontal" displayMode="basic"
        valueDisplayMode="color" showUnfilled itemSpacing={4} />
    </div>
  ));
}

function Curves({ panel, data, time: { shown }, page, width, height }) {
  const timeRange = { from: dateTime(shown.from * 1000), to: dateTime(shown.to * 1000) };
  return <TimeSeries frames={data} {...{ width, height, timeRange, theme: page.theme, timeZone: page.timeZone }}
    legend={panel.options.legend} options={panel.options} />;
}

// Bars over words are bars over their places, with the words on the axis.
function Bars({ panel, data, time, page, width, height }) {
  const [words, bars] = data[0].fields;
  const places = words.values.map((_, at) => at);
  const x = {
    ...words, type: FieldType.number, values: places, config: { min: -0.5, max: places.length - 0.5, custom: {} },
    display: (at) => ({ text: words.values[at] ?? '', numeric: at }),
  };
  const custom = { ...bars.config.custom, drawStyle: 'bars', barWidthFactor: panel.options.barWidth, showPoints: 'never' };
  const frame = { ...data[0], fields: [x, { ...bars, config: { ...bars.config, min: 0, custom } }] };
  const fields = {
    x: fieldMatchers.get(FieldMatcherID.byName).get('Time'), y: fieldMatchers.get(FieldMatcherID.byName).get(bars.name),
  };
  const timeRange = { from: dateTime(time.from * 1000), to: dateTime(time.to * 1000) };
  return <TimeSeries frames={[frame]} {...{ fields, width, height, timeRange, theme: page.theme, timeZone: page.timeZone }}
    legend={{ showLegend: false, displayMode: 'list', placement: 'bottom', calcs: [] }} options={panel.options} />;
}

function Inside(properties) {
  const { panel, loaded, page, width, height } = properties;
  if (isEmpty(loaded)) {
    return <div style={{ padding: 16, color: page.theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  const { data, time } = loaded;
  switch (panel.type) {
    case 'stat':
    case 'bargauge':
      return <Numbers {...{ panel, data, page, width, height }} />;
    case 'timeseries':
      return <Curves {...{ panel, data, time, page, width, height }} />;
    case 'barchart':
      return <Bars {...{ panel, data, time, page, width, height }} />;
    case 'table':
      return <TableNG {...{ data: data[0], width, height }} sortBy={panel.options.sortBy} cellHeight="sm" enableVirtualization={false} />;
    case 'heatmap':
      return <Heatmap result={loaded.raw} dots={loaded.dots} {...{ time, width, height, theme: page.theme, timeZone: page.timeZone }} />;
    default:
      throw new Error(`no way to draw a ${panel.type}`);
  }
}

export function Panel({ panel, page, width, height, onDrawn }) {
  const [loaded, setLoaded] = useState(null);
  useEffect(() => {
    const fail = (error) => onDrawn(`${panel.title}: ${error.message}`);
    load(panel, page, width).then(setLoaded).catch(fail);
  }, []);
  useEffect(() => {
    if (loaded) onDrawn(isEmpty(loaded) && !page.mayBeEmpty ? `${panel.title}: nothing to draw` : null);
  }, [loaded]);
  const title = interpolate(panel.title, page.variables);
  return (
    <PanelChrome {...{ title, width, height }} padding={panel.type === 'table' ? 'none' : 'md'}>
      {(innerWidth, innerHeight) => loaded && <Inside {...{ panel, loaded, page }} width={innerWidth} height={innerHeight} />}
    </PanelChrome>
  );
}
